"""The command line: one file a command.

Lives here: arguments, what is printed, exit codes.
Never here: anything that another program would want to call.
May import: everything below; a command's heavy imports stay in its file, loaded when it is called.

Exit codes: 0 done, 1 done and the answer is no, 2 the call or its input cannot be used.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from sentinel import __version__
from sentinel.errors import SentinelError

_COMMANDS = {
    "serve": "take telemetry by HTTP, judge it, keep it and tell",
    "replay": "judge recorded telemetry: anomalies, incidents or alerts out",
    "score": "score any plain series of timestamp,value rows",
    "baselines": "list, export or import what has been learned",
    "demo": "watch it work on generated traffic with incidents in it",
    "produce": "send the traffic of the demo to a service or to Kafka",
    "check": "validate a configuration",
    "schema": "print the JSON Schema of the configuration",
    "version": "print the version",
}

_ABOUT = ("-h", "--help", "--version")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, `serve` where none is given, and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in _ABOUT):
        arguments.insert(0, "serve")
    parser = _parser(next((word for word in arguments if word in _COMMANDS), None))
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name may hold letters that the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except SentinelError as error:
        sys.stderr.write(f"sentinel: {error}\n")
        return 2
    except OSError as error:
        # Edges translate their own, so it is our output that cannot be written, and what is still
        # buffered neither.  That its reader has left is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0
        sys.stderr.write(f"sentinel: standard output: {error.strerror or error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _parser(command: str | None) -> argparse.ArgumentParser:
    """Return the parser; only the command that is called has its arguments, and its imports."""
    parser = argparse.ArgumentParser(
        prog="sentinel", description="Anomaly detection and observability for LLM applications."
    )
    parser.add_argument("--version", action="version", version=f"llm-sentinel {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, purpose in _COMMANDS.items():
        sentence = f"{purpose[0].upper()}{purpose[1:]}."
        one = commands.add_parser(name, help=purpose, description=sentence)
        if name == command:
            module = import_module(f"sentinel.cli.{name}")
            module.add_arguments(one)
            one.set_defaults(run=module.run)
    return parser
