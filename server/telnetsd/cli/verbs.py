"""The table of verbs: a summary is the beginning of the docstring of the function behind the verb."""

from typing import Final

from telnetsd.cli.lazy_verb import Group, Verb

VERBS: Final = (
    Verb("init", "init:init", "Create a home folder: CA, server certificate, configuration."),
    Verb("serve", "serve:serve", "Run the server in the foreground; SIGHUP reloads, SIGTERM and ^C stop."),
    Verb("workers", "serve:workers", "Start and restart the workers of a server.", is_hidden=True),
    Verb("demo", "demo:demo", "Show a server at work, in a temporary folder that is removed again."),
    Verb("connect", "connect:connect", "Connect to a server: a TLS telnet client."),
    Verb("run", "run:run", "Run one command on a server, for scripts."),
    Verb("login", "login:login", "Store a server, its CA, and what to log in with."),
    Verb("enroll", "enroll:enroll", "Get a certificate."),
    Verb("renew", "enroll:renew", "Renew a certificate."),
    Verb("check", "check:check", "Check configuration, keys and expiry dates."),
    Verb("reload", "reload:reload", "Reload configuration, trust anchors, CRLs and the server's certificate."),
    Verb("backup", "backup:backup", "Back up configuration, users, certificates and audit log."),
    Verb("restore", "backup:restore", "Restore a backup; the server must not be running."),
    Verb("top", "top:top", "Show open sessions and events per second, live."),
    Group(
        "user",
        "Add, renew, revoke and show users.",
        (
            Verb("add", "user.adding:add", "Add a user, and issue a certificate."),
            Verb("import", "user.adding:import_", "Add every user in a CSV file, each with a certificate."),
            Verb("list", "user.listing:list_", "List the users."),
            Verb("show", "user.listing:show", "Show one user, with all of their certificates and pins."),
            Verb("change", "user.adding:change", "Change a user's roles."),
            Verb("rename", "user.adding:rename", "Rename a user, who keeps roles, certificates and pins."),
            Verb("issue", "user.certificates:issue_", "Issue a further certificate to a user, for another device."),
            Verb("renew", "user.certificates:renew", "Issue another certificate to a user."),
            Verb("revoke", "user.certificates:revoke_", "Revoke certificates and pins of users, or one certificate."),
            Verb(
                "restore",
                "user.certificates:restore_",
                "Restore certificates and pins that are on hold (revoked with --reason certificateHold).",
            ),
            Verb(
                "remove",
                "user.certificates:remove",
                "Remove a user, revoke their credentials, and delete their files.",
            ),
            Verb(
                "explain",
                "user.certificates:explain",
                "Explain step by step which user a certificate identifies, if any, and why.",
            ),
        ),
    ),
    Group(
        "request",
        "List, approve and deny enrolment requests.",
        (
            Verb("list", "request:list_", "List the requests that have not expired."),
            Verb("show", "request:show", "Show one request, with the values to compare before approving it."),
            Verb("approve", "request:approve", "Approve a request."),
            Verb("deny", "request:deny", "Deny a request."),
        ),
    ),
    Group(
        "ca",
        "The built-in CA.",
        (
            Verb("show", "ca:show", "Show the built-in CA's certificates."),
            Verb("crl", "ca:crl", "Sign a new CRL, and print it."),
            Verb("rotate", "ca:rotate_", "Create a new CA that issues from now on."),
            Verb("retire", "ca:retire_", "Stop trusting a previous CA."),
            Verb("renew-server", "ca:renew_server_", "Issue a new certificate and key to the server."),
            Verb("passphrase", "ca:passphrase_", "Encrypt the CA's keys with a new passphrase."),
        ),
    ),
    Group(
        "trust",
        "Trust other CAs.",
        (
            Verb("add", "trust:add", "Trust a CA to vouch for users."),
            Verb("list", "trust:list_", "List the trust anchors and the intermediates."),
            Verb("remove", "trust:remove", "Stop trusting a CA."),
        ),
    ),
    Group(
        "session",
        "List, watch and end open sessions.",
        (
            Verb("list", "session:list_", "List the open sessions of the running server."),
            Verb("kick", "session:kick", "End a session; its user is notified."),
            Verb(
                "watch",
                "session:watch_",
                "Watch the output of a session, until it ends or ^C.",
            ),
        ),
    ),
    Group(
        "line",
        "Show lines and what kept-open lines have shown; import lines.",
        (
            Verb("list", "line:list_", "List the lines of the running server, and the state of each."),
            Verb("status", "line:status", "Show the state of one line of the running server."),
            Verb(
                "log",
                "line:log",
                "Show what a kept-open line with `record = true` has shown.",
            ),
            Verb(
                "import",
                "line_import:import_",
                "Print another console server's configuration as entries of telnetsd.toml.",
            ),
        ),
    ),
    Group(
        "audit",
        "Read and verify the audit log.",
        (
            Verb("tail", "audit.reading:tail", "Show the last events, and with -f new ones as they are written."),
            Verb("search", "audit.reading:search", "Find events in the whole log, including rotated files."),
            Verb(
                "sessions",
                "audit.attached:sessions",
                "List the sessions that were on a line.",
            ),
            Verb("show", "audit.reading:show", "Show everything about one session: certificate, commands, end."),
            Verb(
                "stats",
                "audit.figures:stats",
                "Count logins by user, day and hour, refusals by reason, events by action.",
            ),
            Verb("report", "audit.reporting:report", "Write a page to print or hand over."),
            Verb("export", "audit.exporting:export_", "Write events for other programs."),
            Verb("index", "audit.indexing:index", "Bring the index of the audit log up to date."),
            Verb("verify", "audit.proof:verify", "Check order, chain, signatures, beginning and end."),
            Verb("checkpoint", "audit.proof:checkpoint", "Sign the log as it is now, and export the checkpoint."),
            Verb("key", "audit.proof:key_", "Show the public key that an auditor needs, or generate a new key."),
        ),
    ),
    Group(
        "fleet",
        "Many servers as one.",
        (
            Verb("init", "fleet:init", "Found a fleet: what this server has becomes the fleet's state."),
            Verb("engine", "fleet:engine", "Run the engine's server of this machine, in the foreground."),
            Verb(
                "invite",
                "fleet:invite",
                "Invite a machine to be a node: print the code with which it joins, once, within a day.",
            ),
            Verb("join", "fleet:join", "Make this machine a node of a fleet, with an empty home folder."),
            Verb(
                "revoke",
                "fleet:revoke",
                "Take a node out of the fleet: what it signs counts no longer, and the engine lets it in no longer.",
            ),
            Verb(
                "status",
                "fleet:status",
                "Show the engine, the changes and the nodes of the fleet, as this node sees them.",
            ),
            Verb("agent", "fleet:agent", "Talk to the engine for the processes of this node.", is_hidden=True),
        ),
    ),
    Group(
        "notify",
        "Test the programs and webhooks that get events.",
        (Verb("test", "notify:send_test", "Send a test event to each receiver of `[[notify]]`."),),
    ),
    Group(
        "recording",
        "List, play, export, search and verify the recordings of lines.",
        (
            Verb("list", "recording.listing:list_", "List the recordings that the audit log vouches for."),
            Verb("play", "recording.playing:play", "Play a recording with its timing."),
            Verb("export", "recording.playing:export", "Write a recording to standard output."),
            Verb("search", "recording.searching:search_", "Find text that lines have shown, the newest first."),
            Verb("index", "recording.searching:index", "Bring the index of the recordings up to date."),
            Verb("verify", "recording.listing:verify", "Compare recordings with what the audit log vouches for."),
        ),
    ),
)
