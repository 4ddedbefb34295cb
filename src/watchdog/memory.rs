//! How much memory the process has, and how much it may have.

use std::fs;
use std::path::Path;

/// Where Linux mounts cgroups: version 2, the memory controller of version 1, version 2 beside version 1.
const MOUNTS: [(&str, &str); 3] = [
    ("/sys/fs/cgroup", "memory.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ("/sys/fs/cgroup/unified", "memory.max"),
];

/// The memory that the process may have, in bytes: what its cgroups allow, at most the machine's. `None` if the system does not say.
pub(super) fn allowed() -> Option<u64> {
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    cgroup_limit(&cgroups, |path| fs::read_to_string(path).ok()).into_iter().chain(machine).min()
}

/// The process's own (anonymous) resident memory, in bytes. Pages of files do not count: the system can take them back.
pub(super) fn used() -> Option<u64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let mut fields = pages.split(' ').skip(1).map_while(|field| field.parse::<u64>().ok());
    let (resident, shared) = (fields.next()?, fields.next()?);
    Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
}

/// The lowest limit of the cgroups that `/proc/self/cgroup` lists and of those that contain them. In a container the path of the cgroup
/// can be one outside, where nothing is mounted; then the root has the limit.
fn cgroup_limit(cgroups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let folders = paths.chain(["/"]).flat_map(|path| Path::new(path).ancestors());
    let limits = folders.flat_map(|folder| {
        let folder = folder.strip_prefix("/").unwrap_or(folder);
        MOUNTS.map(|(mount, file)| read(&Path::new(mount).join(folder).join(file)))
    });
    // Version 2 writes `max` for no limit, version 1 a number beyond any memory.
    limits.flatten().filter_map(|text| text.trim().parse().ok()).min()
}

/// The machine's memory, in bytes, as `/proc/meminfo` has it.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(cgroups: &str, files: &[(&str, &str)]) -> Option<u64> {
        cgroup_limit(cgroups, |path| {
            files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_lowest_limit_of_all_cgroups_counts() {
        let v2 = "0::/pod/container\n";
        let outer = ("/sys/fs/cgroup/pod/memory.max", "1000\n");
        let inner = ("/sys/fs/cgroup/pod/container/memory.max", "max\n");
        assert_eq!(limit(v2, &[outer, inner]), Some(1000));
        assert_eq!(limit(v2, &[outer, ("/sys/fs/cgroup/pod/container/memory.max", "900\n")]), Some(900));
        assert_eq!(limit(v2, &[("/sys/fs/cgroup/memory.max", "800\n")]), Some(800), "a container's own root");
        assert_eq!(limit(v2, &[inner]), None);
        let v1 = "11:cpu,cpuacct:/a\n4:memory:/docker/x\n";
        assert_eq!(limit(v1, &[("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "700\n")]), Some(700));
        assert_eq!(limit(v1, &[("/sys/fs/cgroup/memory/memory.limit_in_bytes", "600\n")]), Some(600));
        assert_eq!(limit("", &[]), None);
    }

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(total("MemTotal:       24689764 kB\nMemFree: 1 kB\n"), Some(24_689_764 << 10));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_in_use_is_that_of_the_process() {
        let before = used().unwrap();
        let block = vec![1u8; 64 << 20];
        let after = used().unwrap();
        assert!(after - before > 48 << 20, "{before} {after}");
        drop(block);
    }
}
