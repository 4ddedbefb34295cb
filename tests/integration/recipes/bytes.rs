//! Any recipe gives the same bytes twice, with 1 or 8 threads, from disk or S3.

use super::program::{Mix, files, run_with};
use std::path::Path;
use test_support::s3_server::S3Server;

#[test]
fn every_example_gives_the_same_bytes_with_one_thread_and_with_eight() {
    for entry in std::fs::read_dir("examples/recipes").unwrap() {
        let path = entry.unwrap().path();
        let recipe = path.to_str().unwrap();
        let one = Mix::of(recipe, &["--threads", "1"]).files();
        assert!(one.contains_key("manifest.json") && one.len() >= 5);
        assert!(one == Mix::of(recipe, &["--threads", "8"]).files(), "{recipe}: with eight threads");
        assert!(one == Mix::of(recipe, &["--threads", "8"]).files(), "{recipe}: with eight threads, again");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn from_s3_to_s3_they_are_those_from_disk_to_disk() {
    let server = S3Server::start(&["data", "mixes"]);
    copy(Path::new("examples/step_02"), &server.bucket("data").join("step_02"));
    copy(Path::new("examples/chats"), &server.bucket("data").join("chats"));
    let text = std::fs::read_to_string("examples/recipes/everything.yaml").unwrap();
    let remote =
        text.replace("[examples/", "[s3://data/").replace("tokenizer_model: builtin ", "tokenizer_model: builtin");
    assert_eq!(remote.matches("s3://data/").count(), 2, "input and chats");
    std::fs::write(server.bucket("data").join("recipe.yaml"), remote).unwrap();
    let variables = server.environment();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let ended = run_with(&variables, &["mix", "--recipe", "s3://data/recipe.yaml", "--output", "s3://mixes/out"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let there = files(&server.bucket("mixes").join("out"));
    let here = Mix::of_example("everything").files();
    assert_eq!(there.keys().collect::<Vec<_>>(), here.keys().collect::<Vec<_>>());
    for (name, bytes) in &here {
        assert!(*bytes == there[name], "{name}");
    }
}
