"""Kernels through the address, with a client made by others."""

from __future__ import annotations

from address import Address, write_big
from bed import Host


def test_a_cell_runs_and_its_output_comes_back(shared: Address, host: Host) -> None:
    with shared.kernel() as kernel:
        assert kernel.run("import os; print(6 * 7, os.uname().nodename, os.getcwd())") == "42 login /home/alice\n"


def test_input_asks_and_gets_the_answer(shared: Address, host: Host) -> None:
    with shared.kernel() as kernel:
        cell, text = kernel.start("name = input('who? ')\nprint('hello', name)", allow_stdin=True), ""
        for message in kernel.messages(cell):
            if message["msg_type"] == "input_request":
                assert message["content"]["prompt"] == "who? "
                kernel.answer("é 世界")
            elif message["msg_type"] == "stream":
                text += message["content"]["text"]
        assert text == "hello é 世界\n"


def test_an_interrupt_ends_a_running_cell(shared: Address, host: Host) -> None:
    with shared.kernel() as kernel:
        cell, text = kernel.start("import time\nprint('running', flush=True)\ntime.sleep(1000)"), ""
        for message in kernel.messages(cell):
            if "running" in message["content"].get("text", ""):
                assert shared.ask("POST", f"/api/kernels/{kernel.id}/interrupt")[0] == 204
            elif message["msg_type"] == "error":
                text += message["content"]["ename"]
        assert text == "KeyboardInterrupt"
        assert kernel.run("print('still there')") == "still there\n"


def test_six_thousand_messages_a_second_pass_without_a_limit(shared: Address, host: Host) -> None:
    """Jupyter's own rate limit would drop half of them.

    In bursts of 500: a kernel itself drops what is more than some 1,000 ahead of a server that gets no processor.
    """
    lines = [
        "import time",
        "from IPython.display import display",
        "for i in range(6000):",
        "    display({'text/plain': str(i)}, raw=True)",
        "    time.sleep(0.08 if i % 500 == 499 else 0)",
    ]
    with shared.kernel() as kernel:
        shown = [each for each in kernel.messages(kernel.start("\n".join(lines))) if each["msg_type"] == "display_data"]
    assert [int(each["content"]["data"]["text/plain"]) for each in shown] == list(range(6000))


def test_a_slow_download_does_not_hold_up_a_kernel(shared: Address, host: Host) -> None:
    write_big(host, "alice", 100)
    download = shared.http()
    download.request("GET", "/files/big", headers=shared.login)
    answer = download.getresponse()
    answer.read(1 << 20)
    with shared.kernel() as kernel:  # while nobody reads the other 99 MiB
        assert kernel.run("print('quick')") == "quick\n"
    assert len(answer.read()) == 99 << 20
    download.close()
    (host.home("alice") / "big").unlink()
