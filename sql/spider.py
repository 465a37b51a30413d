"""Rules: how a table of the nodes is written as a table of the local endpoint. Text in, text out.

The endpoint is a MariaDB with the Spider engine. A sharded table becomes one Spider table with exactly one
partition per node, and it lists the gates that MyCat's ring gives to that node. Exactly one,
because a scan without a gate asks every partition for the whole remote table: two on one node would
double its rows. A gate that is in no list cannot be inserted, and asking for it answers nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from kakou.sharding import Ring

_WRAPPER: Final = 'wrapper "mysql"'
_UNIQUE_KEY = re.compile(r"^(\s*(?:PRIMARY|UNIQUE) KEY .*)\)(,?)$", re.MULTILINE)
_LITERAL = re.compile(r"'((?:[^'\\]|''|\\.)*)'|_\w+ 0x([0-9a-fA-F]*)", re.DOTALL)
_VALUES = re.compile(r"VALUES IN \(((?:'(?:[^'\\]|''|\\.)*'|_\w+ 0x[0-9a-fA-F]*|[,\s])*)\)", re.DOTALL)
_LINK = re.compile(r"""COMMENT = 'srv "(\w+)", table "(\w+)"'""")
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "Z": "\x1a", "b": "\b"}
_UNESCAPE = re.compile(r"\\(.)|''", re.DOTALL)


def quote(text: str) -> str:
    """A string literal of MySQL.

    >>> quote("it's")
    "'it''s'"
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def placeholder(node: str) -> str:
    """A value that no gate has; it keeps the list of a node without gates from being empty."""
    return f"(no gate, {node})"


def gate_key(name: str) -> str:
    """A gate's name as the database compares it: trailing blanks do not count.

    >>> gate_key("a ") == gate_key("a")
    True
    """
    return name.rstrip(" ")


def split_definition(show_create: str) -> tuple[str, str]:
    """Cuts the answer of SHOW CREATE TABLE into columns with keys, and character set.

    >>> split_definition("CREATE TABLE `a` (\\n  `b` int\\n) ENGINE=InnoDB DEFAULT CHARSET=x")
    ('  `b` int', 'DEFAULT CHARSET=x')
    """
    head, _, tail = show_create.partition("\n) ENGINE=")
    charset = re.search(r"DEFAULT CHARSET=\w+(?: COLLATE=\w+)?", tail)
    return head.partition("(\n")[2], charset[0] if charset else ""


def single_table(name: str, show_create: str, node: str, remote: str) -> str:
    """The Spider table ``name`` for a table that lives on one node as ``remote``."""
    columns, charset = split_definition(show_create)
    comment = f'wrapper "mysql", srv "{node}", table "{remote}"'
    return f"CREATE TABLE `{name}` (\n{columns}\n) ENGINE=SPIDER {charset} COMMENT={quote(comment)}"


def sharded_table(
    name: str,
    show_create: str,
    ring: Ring,
    column: str,
    gates: Iterable[str],
    remote: str,
    elsewhere: Mapping[str, str] | None = None,
) -> str:
    """The Spider table ``name`` over all nodes, its rows split by ``column`` as the ring says.

    A unique key must hold the column of the partitions, so it is added to each; the nodes keep the real key.

    Args:
        remote: what the table is called on the nodes.
        elsewhere: what it is called on single nodes, by node.
    """
    columns, charset = split_definition(show_create)

    def widen(match: re.Match[str]) -> str:
        head, comma = match.groups()
        return match[0] if f"`{column}`" in head else f"{head},`{column}`){comma}"

    columns = _UNIQUE_KEY.sub(widen, columns)
    return (
        f"CREATE TABLE `{name}` (\n{columns}\n) ENGINE=SPIDER {charset} COMMENT='wrapper \"mysql\"'\n"
        f"PARTITION BY LIST COLUMNS(`{column}`) (\n{_partitions(ring, gates, remote, elsewhere or {})}\n)"
    )


def over_tls(statement: str, authority: str) -> str:
    r"""The CREATE TABLE of a Spider table, whose links then speak TLS with nodes that ``authority`` knows.

    Only the comment of a table can say so: CREATE SERVER of MariaDB 10.11 has no such option. There a blank
    parts the values for several links, so one inside a path is escaped.

    Args:
        authority: path of its certificate, as the endpoint's server reads it.

    >>> over_tls("... COMMENT='wrapper \"mysql\", srv \"dn1\"'", "/a b/ca.pem")
    '... COMMENT=\'wrapper "mysql", ssl_ca "/a\\\\ b/ca.pem", ssl_verify_server_cert "1", srv "dn1"\''
    """
    path = authority.replace(" ", "\\ ")
    words = quote(f'{_WRAPPER}, ssl_ca "{path}", ssl_verify_server_cert "1"')
    return statement.replace(f"COMMENT='{_WRAPPER}", f"COMMENT={words[:-1]}", 1)


def _partitions(ring: Ring, gates: Iterable[str], remote: str, elsewhere: Mapping[str, str]) -> str:
    lists: dict[str, list[str]] = {node: [placeholder(node)] for node in ring.nodes}
    seen: set[str] = set()
    for gate in sorted(set(gates)):
        if gate_key(gate) not in seen:
            seen.add(gate_key(gate))
            lists[ring.locate(gate)].append(gate)
    return ",\n".join(
        f"  PARTITION `{node}` VALUES IN ({', '.join(map(quote, values))}) "
        f'COMMENT=\'srv "{node}", table "{elsewhere.get(node, remote)}"\''
        for node, values in lists.items()
    )


def read_partitions(show_create: str) -> list[str]:
    """The values of all partitions, from SHOW CREATE TABLE.

    >>> read_partitions("PARTITION BY LIST (PARTITION `a` VALUES IN ('it''s',_utf8mb4 0xe58da1) ...)")
    ["it's", '卡']
    """
    partitions = show_create.partition("PARTITION BY")[2]
    return [value for match in _VALUES.finditer(partitions) for value in read_values(match[1])]


def read_links(show_create: str) -> dict[str, str]:
    """What each node calls the table, from SHOW CREATE TABLE of a sharded one.

    >>> read_links("(PARTITION `a` VALUES IN ('x') COMMENT = 'srv \\"a\\", table \\"t\\"' ENGINE = SPIDER)")
    {'a': 't'}
    """
    return dict(_LINK.findall(show_create))


def read_values(listed: str) -> list[str]:
    """The values of one partition: literals, and hexadecimal where a value is not ASCII."""
    return [
        bytes.fromhex(match[2]).decode() if match[2] is not None else _UNESCAPE.sub(_unescaped, match[1])
        for match in _LITERAL.finditer(listed)
    ]


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[1], match[1]) if match[1] else "'"
