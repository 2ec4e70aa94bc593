use super::*;

#[test]
fn the_page_of_commands_is_current() {
    let path = format!("{}/../../docs/commands.md", env!("CARGO_MANIFEST_DIR"));
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let mut root = args::command();
    root.build();
    let help = "help texts have changed: cargo run -p bowline-cli -- man --markdown > docs/commands.md";
    assert!(kept == markdown::page(&root), "{help}");
}

#[test]
fn every_command_has_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let mut root = args::command();
    root.build();
    let count = write_all(&root, directory.path()).unwrap();
    let files = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(count, files, "two commands wrote the same page");
    let exec = std::fs::read_to_string(directory.path().join("bowline-app-exec.1")).unwrap();
    assert!(exec.contains(".TH bowline-app-exec 1"), "{exec}");
    assert!(exec.contains("\\fBbowline app exec\\fR"), "{exec}");
    assert!(exec.contains("\\-\\-reuse"), "{exec}");
}

#[test]
fn a_command_that_there_is_not_is_named() {
    let root = args::command();
    let path = ["app".to_owned(), "exc".to_owned()];
    let error = find(&root, &path).unwrap_err();
    assert_eq!(error.to_string(), "there is no command `app exc`");
    assert!(format!("{error:?}").contains("did you mean `exec`?"), "{error:?}");
    assert_eq!(nearest(&["depoy".to_owned()]).as_deref(), Some("deploy"));
}
