//! What a person can do about an error of the operating system. Knows nothing of what was tried,
//! nor of where.

use rustix::io::Errno;
use std::fmt::Display;
use std::io;

/// Errors that need the same remedy, and the remedy as a sentence.
const REMEDIES: [(&[Errno], &str); 16] = [
    (&[Errno::NOSPC], "The disk is full: free some space there."),
    (
        &[Errno::DQUOT],
        "Your disk quota is used up: free some space of yours there, or have it raised.",
    ),
    (
        &[Errno::FBIG],
        "The limit on the size of a file is reached: raise it (`ulimit -f`; for a process that \
         runs, `prlimit --fsize=`).",
    ),
    (
        &[Errno::ROFS],
        "The file system is read-only: have it mounted for writing, or choose another place.",
    ),
    (
        &[Errno::ACCESS, Errno::PERM],
        "You lack the permission there: choose another place, or have it granted.",
    ),
    (&[Errno::MFILE], "This process has too many files open: raise the limit (`ulimit -n`)."),
    (&[Errno::NFILE], "The system has too many files open: wait until other programs close some."),
    (&[Errno::NAMETOOLONG], "The path is too long: choose a place with a shorter one."),
    (
        &[Errno::IO, Errno::NXIO, Errno::NODEV],
        "The device reports errors: see the kernel's log (`dmesg`).",
    ),
    (&[Errno::STALE], "The file server no longer knows that place: have it mounted anew."),
    (
        &[Errno::TIMEDOUT, Errno::HOSTDOWN, Errno::HOSTUNREACH, Errno::NOTCONN, Errno::CONNREFUSED],
        "The server does not answer: wait for it, or choose another place.",
    ),
    (
        &[Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::AFNOSUPPORT],
        "The file system (or a sandbox) does not offer that: choose a place on another file \
         system, a local disk say.",
    ),
    (&[Errno::NOENT], "It is missing, or a directory on the way to it: was it removed?"),
    (
        &[Errno::NOTDIR, Errno::ISDIR, Errno::EXIST],
        "Something else has that name: choose another place.",
    ),
    (&[Errno::NOMEM], "The system is out of memory: wait until other programs free some."),
    (
        &[Errno::AGAIN],
        "The system gives no more processes or threads: raise the limit (`ulimit -u`).",
    ),
];

/// What to do about `error`, as a sentence; for an error that is not in the table, that another
/// place may do.
pub fn on(error: &io::Error) -> &'static str {
    let errno = Errno::from_io_error(error);
    let known = errno.and_then(|errno| REMEDIES.iter().find(|(errnos, _)| errnos.contains(&errno)));
    known.map_or("Choose another place if it stays so.", |(_, remedy)| remedy)
}

/// `error` at `place` for people: where, what happened, what to do.
pub fn about(place: impl Display, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => format!("{place}: {error}\n  {}", on(error)),
        None => format!("{place}: {error}"),
    }
}

/// Calls `call` again as long as a signal interrupts it, a hundred times at most: some file systems
/// let signals through where the standard library does not expect them.
///
/// # Errors
/// Those of `call`.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..100 {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
    call()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_asked_for_only_where_space_helps() {
        for (errno, part) in [
            (Errno::NOSPC, "free some space"),
            (Errno::DQUOT, "quota"),
            (Errno::FBIG, "ulimit -f"),
            (Errno::ROFS, "read-only"),
            (Errno::ACCESS, "permission"),
            (Errno::PERM, "permission"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::NFILE, "too many files"),
            (Errno::NAMETOOLONG, "too long"),
            (Errno::IO, "dmesg"),
            (Errno::STALE, "mounted anew"),
            (Errno::NOLCK, "another file system"),
            (Errno::NOSYS, "another file system"),
            (Errno::NOTSUP, "another file system"),
            (Errno::OPNOTSUPP, "another file system"),
            (Errno::TIMEDOUT, "does not answer"),
            (Errno::NOENT, "missing"),
            (Errno::NOTDIR, "Something else"),
            (Errno::PIPE, "another place"),
        ] {
            let error = io::Error::from(errno);
            let text = on(&error);
            assert!(text.contains(part), "{error}: {text}");
            assert_eq!(
                text.contains("free some space"),
                matches!(errno, Errno::NOSPC | Errno::DQUOT),
                "{text}"
            );
            assert!(about("runs", &error).starts_with(&format!("runs: {error}\n  ")));
        }
    }

    #[test]
    fn an_interrupted_call_is_made_again_but_not_for_ever() {
        let mut calls = 0;
        let mut third = || {
            calls += 1;
            if calls < 3 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(calls) }
        };
        assert_eq!(uninterrupted(&mut third).expect("the third call"), 3);
        assert!(uninterrupted(|| Err::<(), _>(io::ErrorKind::Interrupted.into())).is_err());
    }
}
