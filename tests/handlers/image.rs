//! An image for containers, made of the shell and a few tools of this machine, and removed when the test ends.

use super::support::woof;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// What handlers of these tests need besides our own commands.
const TOOLS: [&str; 8] = ["sh", "cat", "sleep", "id", "tee", "sed", "dd", "ls"];

/// An image at the engine.
pub(crate) struct Image {
    pub(crate) name: String,
}

impl Image {
    /// The image, or nothing where no engine answers; that is said, and with `CI=true` it is a failure.
    pub(crate) fn for_test(what: &str) -> Option<Image> {
        if !works(&["info"]) {
            woof_kit::skip(&format!("{what}: needs Docker"));
            return None;
        }
        Some(Image::of(&TOOLS.map(path_of)))
    }

    /// An image of programs with the libraries that they and our own program need.
    fn of(programs: &[String]) -> Image {
        let root = woof_kit::tempdir().unwrap();
        for program in programs {
            // Where scripts look for it, wherever it is on this machine.
            copy(program, &root.path().join("bin").join(Path::new(program).file_name().unwrap()));
            libraries(program).iter().for_each(|library| copy_below(library, root.path()));
        }
        if !programs.is_empty() {
            libraries(woof()).iter().for_each(|library| copy_below(library, root.path()));
        }
        // Where anybody could write, if the image could be written.
        let open = root.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        Image::import(root.path())
    }

    /// An image with no program in it.
    pub(crate) fn empty() -> Image {
        Image::of(&[])
    }

    fn import(root: &Path) -> Image {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("woofstream-handlers-{}-{number}:test", std::process::id());
        let script = "tar -c -C \"$1\" . | docker import - \"$2\"";
        let mut command = woof_kit::command("sh");
        let made = woof_kit::output(command.args(["-c", script, "sh", root.to_str().unwrap(), &name]));
        assert!(made.status.success(), "{made:?}");
        Image { name }
    }

    /// The names of containers of this image, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        self.list(&["--all"])
    }

    /// Those that run.
    pub(crate) fn running(&self) -> Vec<String> {
        self.list(&["--filter", "status=running"])
    }

    fn list(&self, which: &[&str]) -> Vec<String> {
        let filter = format!("ancestor={}", self.name);
        let mut command = woof_kit::command("docker");
        command.arg("ps").args(which).args(["--filter", &filter, "--format", "{{.Names}}"]);
        let output = woof_kit::output(&mut command);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        for container in self.containers() {
            works(&["rm", "--force", &container]);
        }
        works(&["image", "rm", "--force", &self.name]);
    }
}

/// Whether Docker's own command ends well with these arguments.
pub(crate) fn works(args: &[&str]) -> bool {
    woof_kit::works("docker", args)
}

fn path_of(tool: &str) -> String {
    let output = woof_kit::output(woof_kit::command("sh").args(["-c", &format!("command -v {tool}")]));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The shared libraries of a program: `libc.so.6 => /lib/libc.so.6 (0x...)` and `/lib64/ld-linux-x86-64.so.2 (0x...)`.
fn libraries(program: &str) -> Vec<String> {
    let output = woof_kit::output(woof_kit::command("ldd").arg(program));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

fn copy_below(file: &str, root: &Path) {
    copy(file, &root.join(file.trim_start_matches('/')));
}

fn copy(file: &str, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(file, to).unwrap();
}
