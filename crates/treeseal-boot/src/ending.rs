use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use rustix::system::{RebootCommand, reboot};
use treeseal::boot::{Ending, Failure};

use crate::failure::say;

/// Ends a boot that failed, after the message has stood there for a while.
///
/// The kernel panics when its first process ends; that is what is left where it refuses to stop.
pub(crate) fn end(plan: Failure) -> ExitCode {
    let (what, command) = match plan.ending {
        Ending::Stop => ("the machine stands still", None),
        Ending::Reboot => ("the machine starts again", Some(RebootCommand::Restart)),
        Ending::PowerOff => ("the machine is switched off", Some(RebootCommand::PowerOff)),
    };
    let Some(command) = command else {
        say(what);
        stand_still()
    };
    say(&format!("{what} in {} s", plan.delay.as_secs()));
    thread::sleep(plan.delay);
    rustix::fs::sync();
    match reboot(command) {
        Ok(()) => stand_still(),
        Err(errno) => {
            say(&format!("the kernel refuses: {errno}"));
            ExitCode::FAILURE
        }
    }
}

fn stand_still() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
