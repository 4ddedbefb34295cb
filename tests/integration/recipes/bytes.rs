//! A recipe gives the same bytes every time, with 1 or 8 threads, on disk or in S3.

use super::program::{Mix, run_with};
use std::path::Path;
use test_support::outside::mix_files;
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
fn mixes_in_s3_equal_mixes_on_disk() {
    let server = S3Server::start(&["data", "mixes"]);
    copy(Path::new("examples/step_02"), &server.bucket("data").join("step_02"));
    copy(Path::new("examples/chats"), &server.bucket("data").join("chats"));
    let text = std::fs::read_to_string("examples/recipes/everything.yaml").unwrap();
    let recipe =
        text.replace("[examples/", "[s3://data/").replace("tokenizer_model: builtin ", "tokenizer_model: builtin");
    assert_eq!(recipe.matches("s3://data/").count(), 2, "input and chats");
    std::fs::write(server.bucket("data").join("recipe.yaml"), recipe).unwrap();
    let variables = server.environment();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let ended = run_with(&variables, &["mix", "--recipe", "s3://data/recipe.yaml", "--output", "s3://mixes/out"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let remote = mix_files(&server.bucket("mixes").join("out"));
    let local = Mix::of_example("everything").files();
    assert_eq!(remote.keys().collect::<Vec<_>>(), local.keys().collect::<Vec<_>>());
    for (name, bytes) in &local {
        assert!(*bytes == remote[name], "{name}");
    }
}
