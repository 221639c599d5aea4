"""Argument lists for `ssh`, as values; what a real `ssh -G` makes of them is in `tests/test_ssh_link.py`."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farlab.errors import Internal, Usage
from farlab.model import Target
from farlab.transport.ssh.options import Resolved, attach_argv, check_host, link_argv, parse_resolved, query_argv

TARGET = Target(host="far")
PLAIN = Resolved(hostname="far.example.org", port=22)
KEYWORDS_9_2 = frozenset({"hostname", "sessiontype", "stdinnull", "forkafterauthentication"})


def options(argv: list[str]) -> list[str]:
    return [value for flag, value in itertools.pairwise(argv) if flag == "-o"]


@pytest.mark.parametrize(
    "host",
    [
        "gpu1",
        "ada@gpu1",
        "DOMAIN\\ada@gpu1",
        "192.0.2.7",
        "::1",
        "fe80::1%eth0",
        "ssh://ada@gpu1:2222",
        "ssh://ada%40lab@gpu1",
        "ssh://[2001:db8::1]:22",
        "a%60b",
        "größe",
        "a@b@c",
    ],
)
def test_what_a_user_types_after_ssh_is_a_host(host: str) -> None:
    check_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "-oProxyCommand=x",
        "--",
        "ada@-oProxyCommand=x",
        "ada@",
        "@gpu1",
        "a b",
        "a\tb",
        "gpu1\n",
        "a\x00b",
        "a\x1b[31m",
        "$(id)",
        "`id`",
        "a;b",
        "a|b",
        "a&b",
        "a'b",
        'a"b',
        "a\\b",
        "x(y)@gpu1",
        "ada\\@gpu1",
        "a\u202eb",
        "a\xa0b",
        "a" * 301,
        "ssh://a%60id%60@gpu1",
        "ssh://%24(id)@gpu1",
        "ssh://a%3Bb@gpu1",
        "ssh://a%0aProxyCommand%20x@gpu1",
        "ssh://a%00@gpu1",
        "ssh://%2doProxyCommand@gpu1",
        "ssh://-oProxyCommand=x",
        "ssh://a@-gpu1",
        "ssh://a%5c@gpu1",
        "ssh://a%ff@gpu1",
        "ssh://a%e2%80%ae@gpu1",
        "ssh://",
        "gpu1\ufe0f",
        "gpu\u31641",
    ],
)
def test_what_could_mean_something_else_is_refused(host: str) -> None:
    with pytest.raises(Usage) as caught:
        check_host(host)
    assert caught.value.message.isprintable()
    for build in (query_argv, lambda target: attach_argv(target, "true")):
        with pytest.raises(Usage):
            build(Target(host=host))


@given(st.text(max_size=40))
def test_no_host_becomes_an_option(host: str) -> None:
    try:
        argv = link_argv(Target(host=host), "true", resolved=PLAIN, may_ask=False)
    except Usage:
        return
    assert argv[-3:] == ["--", host, "true"]
    assert not host.startswith("-")


def test_ours_come_before_the_host_and_the_command_is_one_word() -> None:
    argv = link_argv(TARGET, "exec sh -c 'echo hi'", resolved=PLAIN, may_ask=True)
    assert argv[0] == "ssh"
    assert argv[-3:] == ["--", "far", "exec sh -c 'echo hi'"]
    assert "-T" in argv[: argv.index("--")]


@pytest.mark.parametrize(
    "option",
    [
        "RequestTTY=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "ForwardAgent=no",
        "ForwardX11=no",
        "Tunnel=no",
        "ControlMaster=no",
        "LogLevel=VERBOSE",
    ],
)
def test_a_link_is_nothing_but_a_command(option: str) -> None:
    assert option in options(link_argv(TARGET, "true", resolved=PLAIN, may_ask=True))


def test_host_key_checking_is_never_touched() -> None:
    for may_ask in (True, False):
        for bypass_master in (True, False):
            argv = link_argv(TARGET, "true", resolved=PLAIN, may_ask=may_ask, bypass_master=bypass_master)
            assert not any("hostkey" in option.lower() or "knownhosts" in option.lower() for option in options(argv))


def test_batch_mode_is_on_exactly_where_nobody_can_be_asked() -> None:
    assert "BatchMode=yes" in options(link_argv(TARGET, "true", resolved=PLAIN, may_ask=False))
    assert not [o for o in options(link_argv(TARGET, "true", resolved=PLAIN, may_ask=True)) if "BatchMode" in o]


def test_the_users_master_is_ridden_on_unless_it_is_to_be_gone_around() -> None:
    riding = options(link_argv(TARGET, "true", resolved=PLAIN, may_ask=True))
    around = options(link_argv(TARGET, "true", resolved=PLAIN, may_ask=True, bypass_master=True))
    assert set(around) - set(riding) == {"ControlPath=none"}


def test_time_limits_are_ours_where_the_user_set_none() -> None:
    ours = options(link_argv(TARGET, "true", resolved=PLAIN, may_ask=True))
    assert {"ConnectTimeout=15", "ServerAliveInterval=15", "ServerAliveCountMax=6"} <= set(ours)
    theirs = Resolved(hostname="h", port=22, connect_timeout=5, server_alive_interval=60)
    assert not [o for o in options(link_argv(TARGET, "true", resolved=theirs, may_ask=True)) if "=15" in o or "=6" in o]


def test_a_count_of_the_users_stays() -> None:
    theirs = Resolved(hostname="h", port=22, server_alive_count_max=9)
    given_options = options(link_argv(TARGET, "true", resolved=theirs, may_ask=True))
    assert "ServerAliveInterval=15" in given_options
    assert not [o for o in given_options if o.startswith("ServerAliveCountMax")]


@pytest.mark.parametrize("way", [{"proxy_jump": "jump"}, {"proxy_command": "nc %h %p"}])
def test_nobody_is_timed_while_a_jump_host_asks_for_a_code(way: dict[str, str]) -> None:
    behind = Resolved(hostname="h", port=22, **way)  # type: ignore[arg-type]
    assert not [o for o in options(link_argv(TARGET, "true", resolved=behind, may_ask=True)) if "ConnectTimeout" in o]


def test_an_old_client_gets_no_option_that_it_does_not_know() -> None:
    old = options(link_argv(TARGET, "true", resolved=PLAIN, may_ask=True))
    assert not {o.split("=")[0] for o in old} & {"SessionType", "StdinNull", "ForkAfterAuthentication", "RemoteCommand"}
    assert not [o for o in old if "IgnoreUnknown" in o]  # would cancel the user's own
    middle = Resolved(hostname="h", port=22, keywords=frozenset({"remotecommand"}))
    assert "RemoteCommand=none" in options(link_argv(TARGET, "true", resolved=middle, may_ask=True))
    new = Resolved(hostname="h", port=22, keywords=KEYWORDS_9_2)
    wanted = {"RemoteCommand=none", "SessionType=default", "StdinNull=no", "ForkAfterAuthentication=no"}
    assert wanted <= set(options(link_argv(TARGET, "true", resolved=new, may_ask=True)))


def test_a_configuration_file_is_handed_on() -> None:
    target = Target(host="far", ssh_config="/home/ada/my config")
    for argv in (
        query_argv(target),
        link_argv(target, "true", resolved=PLAIN, may_ask=True),
        attach_argv(target, "true"),
    ):
        assert argv[1:3] == ["-F", "/home/ada/my config"]


def test_another_program_can_stand_in_for_ssh() -> None:
    assert query_argv(TARGET, "/opt/ssh")[0] == "/opt/ssh"
    assert link_argv(TARGET, "true", resolved=PLAIN, may_ask=True, program="/opt/ssh")[0] == "/opt/ssh"


def test_attach_has_a_terminal_and_asks_there() -> None:
    argv = attach_argv(TARGET, "tmux attach")
    assert "-t" in argv
    assert "-T" not in argv
    assert not [o for o in options(argv) if o.startswith(("RequestTTY", "BatchMode", "LogLevel"))]
    assert {"RemoteCommand=none", "ForwardAgent=no", "ClearAllForwardings=yes"} <= set(options(argv))


def test_what_ssh_resolves_is_read() -> None:
    text = (
        "user ada\nhostname gpu1.example.org\nport 2222\nbatchmode yes\nconnecttimeout 7\nserveraliveinterval 420\n"
        "serveralivecountmax 9\ncontrolpath /run/user/1000/c m\nproxyjump a,b\nidentityfile ~/.ssh/one\n"
        "identityfile ~/.ssh/two\nstricthostkeychecking accept-new\nsessiontype default\n"
    )
    assert parse_resolved(text) == Resolved(
        hostname="gpu1.example.org",
        port=2222,
        connect_timeout=7,
        server_alive_interval=420,
        server_alive_count_max=9,
        control_path="/run/user/1000/c m",
        proxy_jump="a,b",
        keywords=frozenset(line.split()[0] for line in text.splitlines()),
        files=("~/.ssh/one", "~/.ssh/two"),
    )


def test_what_is_not_set_is_none() -> None:
    resolved = parse_resolved("hostname h\nuser u\nport 22\nconnecttimeout none\ncontrolpath none\nproxycommand none\n")
    assert (resolved.connect_timeout, resolved.control_path, resolved.proxy_command) == (None, None, None)


@pytest.mark.parametrize("text", ["", "\n", "usage: ssh [-46AaCfGgKkMNnqsTtVvXxYy]\n", "hostname\n"])
def test_what_is_no_answer_of_ssh_is_refused(text: str) -> None:
    with pytest.raises(Internal):
        parse_resolved(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        resolved = parse_resolved("hostname h\n" + text)
    except Internal:
        return
    assert resolved.port >= 0
