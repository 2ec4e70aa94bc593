//! Realistic projects: what `bowline config` shows for each destination, and that the schema accepts them all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::show::show;
use super::super::template::{Ended, Outputs, Program, Template, Unrendered};
use super::schema::Validator;
use super::*;

struct Project {
    name: String,
    directory: PathBuf,
}

impl Project {
    fn all() -> Vec<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects");
        let mut all: Vec<Self> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|directory| Self {
                name: directory.file_name().unwrap().to_string_lossy().into_owned(),
                directory,
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Its destinations. `None` means `deploy.yml` alone, if that is a configuration.
    fn destinations(&self) -> Vec<Option<String>> {
        let files = fs::read_dir(&self.directory).unwrap().map(|entry| entry.unwrap().file_name());
        let names: BTreeSet<String> = files
            .filter_map(|name| {
                let name = name.to_string_lossy().into_owned();
                Some(name.strip_prefix("deploy.")?.strip_suffix(".yml")?.to_owned())
            })
            .collect();
        let alone = !self.read("deploy.yml").contains("require_destination: true");
        alone.then_some(None).into_iter().chain(names.into_iter().map(Some)).collect()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.directory.join(file)).unwrap_or_default()
    }

    /// Renders a file with the project's `env`, and with the outputs in its `commands`.
    fn rendered(&self, file: &str, destination: Option<&str>) -> SourceFile {
        let environment = self.read("env");
        let variable = |name: &str| match name {
            "KAMAL_DESTINATION" => destination.map(str::to_owned),
            name => {
                environment.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).map(str::to_owned)
            }
        };
        let commands = self.read("commands");
        let run = |program: &Program| match program {
            Program::Shell(command) => {
                let output = commands.lines().find_map(|line| line.strip_prefix(&format!("{command}\t")));
                Ended::Well(output.unwrap_or_else(|| panic!("{}: {command}", self.name)).to_owned())
            }
            Program::File(path) => Ended::Well(self.read(path)),
            Program::Ruby(_) => Ended::Missing,
        };
        let template = Template::new(SourceFile::new(format!("config/{file}"), self.read(file))).unwrap();
        let mut outputs = Outputs::new();
        loop {
            match template.render(&variable, &outputs) {
                Ok(file) => return file,
                Err(Unrendered::Failed(errors)) => panic!("{}: {errors}", self.name),
                Err(Unrendered::Run(program)) => {
                    let ended = run(&program);
                    outputs.insert(program, ended);
                }
            }
        }
    }

    fn files(&self, destination: Option<&str>) -> (SourceFile, Option<Destination>) {
        let over = destination.map(|name| Destination {
            name: name.to_owned(),
            file: self.rendered(&format!("deploy.{name}.yml"), destination),
        });
        (self.rendered("deploy.yml", destination), over)
    }

    fn load(&self, destination: Option<&str>) -> Loaded {
        let (base, over) = self.files(destination);
        load(base, over).unwrap_or_else(|errors| panic!("{} {destination:?}\n{errors}", self.name))
    }
}

#[test]
fn what_is_shown_of_projects() {
    let projects = Project::all();
    assert!(projects.len() >= 25, "some are missing");
    for project in projects.iter().filter(|project| project.name != "large") {
        for destination in project.destinations() {
            let loaded = project.load(destination.as_deref());
            let shown = show(&loaded.config);
            assert!(!shown.contains("hunter2") && !shown.contains("plain-text-token"), "{shown}");
            let warnings = match loaded.warnings.is_empty() {
                true => String::new(),
                false => format!("\n# with these warnings:\n{}", loaded.warnings),
            };
            let name = destination.map(|name| format!("_{name}")).unwrap_or_default();
            insta::assert_snapshot!(format!("project_{}{name}", project.name), format!("{shown}{warnings}"));
        }
    }
}

#[test]
fn the_large_one_is_as_large_as_it_says() {
    let projects = Project::all();
    let large = projects.iter().find(|project| project.name == "large").unwrap().load(None);
    assert_eq!((large.config.roles.len(), large.config.hosts().len()), (14, 336));
    assert!(large.warnings.is_empty(), "{}", large.warnings);
}

#[test]
fn the_schema_takes_every_project() {
    let validator = Validator::new();
    for project in Project::all() {
        for destination in project.destinations() {
            let (base, over) = project.files(destination.as_deref());
            for file in std::iter::once(base).chain(over.map(|over| over.file)) {
                for old in [true, false] {
                    assert!(validator.takes(file.yaml(), old), "{} {}", project.name, file.path);
                }
            }
        }
    }
}
