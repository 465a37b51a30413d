"""One frozen ``Settings``, built at the entry point and passed in; nothing else reads the environment.

Each value comes from ``KAKOU_<NAME>`` or ``.env``. ``.env.example`` is generated from this class.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kakou.errors import SettingsError

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent

PORTS: Final[dict[str, int]] = {
    "api": 5000,
    "mlflow": 5001,
    "airflow": 8080,
    "kafka": 9092,
    "kafka_controller": 9094,
    "dn1": 3306,
    "dn2": 3307,
    "endpoint": 8066,
    "redis": 6379,
}
SHIPPED_TOPOLOGY: Final = PROJECT_ROOT / "mycat_conf"
_NODE: Final = re.compile(r"dn([1-9]\d?)")
_BELOW_FIRST_NODE: Final = PORTS["dn1"] - 1


class Settings(BaseSettings):
    """Everything that may differ between two machines. Paths are absolute once built."""

    model_config = SettingsConfigDict(
        env_prefix="KAKOU_", env_file=PROJECT_ROOT / ".env", extra="ignore", frozen=True
    )

    var: Path = Field(PROJECT_ROOT / "var", description="Where everything that runs keeps its files")
    parts: Path = Field(
        PROJECT_ROOT / "var" / "parts",
        description="Unpacked servers and jars; shared by several stacks, rebuilt by `make install`",
    )
    host: str = Field("127.0.0.1", description="Address that every service listens on")
    port_offset: int = Field(0, ge=0, le=50000, description="Added to every port")
    tls: Literal["auto", "on", "off"] = Field(
        "auto",
        description="TLS of Kafka, nodes, endpoint and Redis; auto is on unless KAKOU_HOST is a loopback "
        "address, off is for loopback alone",
    )
    timezone: str = Field("Asia/Shanghai", description="Zone of times written without an offset")

    topic: str = Field("traffic-raw", description="Kafka topic of passes")
    rejected_topic: str = Field("traffic-rejected", description="Kafka topic of records not understood")
    partitions: int = Field(4, ge=1, description="Partitions of the topic of passes")
    retention_hours: int = Field(48, ge=1, description="How long Kafka keeps passes")
    spool_hours: float = Field(
        1, ge=0, description="How many hours of passes the shipper keeps beyond the log while Kafka is away"
    )
    spool_gb: float = Field(10, ge=0, description="How many GB of passes it keeps beyond the log")

    ingest_route: Literal["shards", "endpoint"] = Field(
        "shards", description="Write each row straight to its node, or through the 8066 endpoint"
    )
    node_buffer_mb: int = Field(
        256,
        ge=32,
        description="Memory in which each data node keeps its tables, in MiB; taken as it is needed",
    )
    keep_days: int = Field(3, ge=1, description="Days that traffic_data keeps")
    keep_flow_days: int = Field(
        400, ge=1, description="Days that the roll-up flow_hourly keeps; never fewer than KAKOU_KEEP_DAYS"
    )
    keep_warnings_days: int = Field(
        400, ge=30, description="Days that warnings are kept; those of a reviewed case stay"
    )
    max_offsets_per_trigger: int = Field(40_000, ge=1, description="Most records of one micro-batch")
    slice_records: int = Field(
        50_000,
        ge=1,
        description="Records that the stream holds at once; a larger micro-batch is stored in pieces, in one "
        "transaction",
    )
    retry_cap_seconds: int = Field(
        300, ge=0, description="How long the stream retries a store that is away before it stops loudly"
    )
    spark_master: str = Field("local[2]", description="Spark master URL")
    spark_driver_memory: str = Field("1g", description="Heap of each Spark driver")
    log_level: str = Field("INFO", description="Least level that is logged")

    gate_registry: str = Field(
        "",
        description="CSV of your own gates, laid over the known ones; default <var>/gates.csv if it is there",
    )

    mycat_conf: str = Field(
        "",
        description="Folder with schema.xml and rule.xml that say which node holds which gate; default "
        "<var>/mycat_conf if a re-shard made it, else the project's own",
    )

    origins: Literal["observed", "all"] = Field(
        "observed",
        description="Rows that training, travel times and `kakou detect replay` use: those that a gate saw, "
        "or `all`, with copied and replicated ones",
    )

    api_hosts: str = Field("", description="Further host names that the API answers to, with commas between")
    api_origins: str = Field(
        "", description="Further origins whose pages may call the API, with commas between"
    )

    reader_hosts: str = Field(
        "",
        pattern=r"^[A-Za-z0-9.:%/_, -]*$",
        description="Further addresses from which kakou_reader may connect, with commas between, such as "
        "10.1.2.%",
    )

    detection_window_minutes: int = Field(120, ge=1, description="Passes this far apart are compared")
    lateness_minutes: int = Field(30, ge=0, description="How late a pass may arrive and still count")
    future_minutes: int = Field(
        20, ge=0, description="A pass stamped further ahead of its arrival is set aside"
    )
    fallback_kmh: float = Field(200.0, gt=0, description="Straight-line speed where nothing is learned")

    @field_validator("tls")
    @classmethod
    def _no_open_network(cls, tls: str, info: ValidationInfo) -> str:
        host = str(info.data.get("host", ""))
        if tls == "off" and not is_loopback(host):
            raise PydanticCustomError(
                "open_network",
                "off would send passes and alerts over the network in the open, as KAKOU_HOST={host} is no "
                "loopback address. Choose on or auto, or set KAKOU_HOST=127.0.0.1",
                {"host": host},
            )
        return tls

    @property
    def tls_on(self) -> bool:
        """Whether the stores speak TLS."""
        return self.tls == "on" or (self.tls == "auto" and not is_loopback(self.host))

    def port(self, service: str) -> int:
        """Port of a service named in ``PORTS`` or of a node, offset included."""
        return (node_port(service) or PORTS[service]) + self.port_offset

    @property
    def kafka_bootstrap(self) -> str:
        return f"{self.host}:{self.port('kafka')}"

    @property
    def secrets_dir(self) -> Path:
        return self.var / "secrets"

    @property
    def tls_dir(self) -> Path:
        """Certificates of the stores, with their keys."""
        return self.secrets_dir / "tls"

    @property
    def tls_authority_file(self) -> Path:
        """Certificate of the authority that signs the stores' own; all that a client needs."""
        return self.tls_dir / "ca.pem"

    @property
    def log_dir(self) -> Path:
        return self.var / "log"

    @property
    def data_dir(self) -> Path:
        """Data of the stores, one folder each."""
        return self.var / "data"

    @property
    def run_dir(self) -> Path:
        """Rendered configuration, sockets and pid files."""
        return self.var / "run"

    @property
    def raw_dir(self) -> Path:
        """Generated raw folder, used where the caller names none."""
        return self.var / "raw"

    @property
    def gate_registry_file(self) -> Path:
        """A person's own gates, which `kakou gates accept` writes; may be missing."""
        return Path(self.gate_registry).absolute() if self.gate_registry else self.var / "gates.csv"

    @property
    def clean_dir(self) -> Path:
        """Output of the batch steps."""
        return self.var / "clean"

    @property
    def sim_dir(self) -> Path:
        """Simulated pass log: ``passes.log``, its rotated fellows and ``planted.jsonl``."""
        return self.var / "sim"

    @property
    def ship_dir(self) -> Path:
        """Positions of the shipper."""
        return self.var / "ship"

    @property
    def checkpoint_dir(self) -> Path:
        """Checkpoints of the streams, one folder per query."""
        return self.var / "checkpoint"

    @property
    def history_dir(self) -> Path:
        """Archived days, ``day=YYYY-MM-DD``."""
        return self.var / "history"

    @property
    def travel_times_file(self) -> Path:
        """Learned minimum travel times that the stream reads, swapped whole."""
        return self.var / "models" / "travel_times.csv"

    @property
    def rule_file(self) -> Path:
        """The rule in force, if a person has set one."""
        return self.var / "models" / "rule.toml"

    @property
    def knowledge_file(self) -> Path:
        """What a history taught about honest traffic, which the stream reads too, swapped whole."""
        return self.var / "models" / "knowledge.npz"

    @property
    def past_dir(self) -> Path:
        """What the history says of single plates; the knowledge in force names one of these files."""
        return self.var / "models" / "past"

    @property
    def own_topology_dir(self) -> Path:
        """The sharding of this stack where it was re-sharded: a link that is swapped whole."""
        return self.var / "mycat_conf"

    @property
    def topology_dir(self) -> Path:
        """The one source of the sharding."""
        if self.mycat_conf:
            return Path(self.mycat_conf).absolute()
        own = self.own_topology_dir
        # A link that leads nowhere is an error for whoever reads it, and no stack as shipped.
        return own if own.is_symlink() or own.exists() else SHIPPED_TOPOLOGY


def node_port(name: str) -> int | None:
    """Port of node ``dn1``, ``dn2`` … before the offset; None for what is no node's name.

    >>> node_port("dn1"), node_port("dn3"), node_port("redis")
    (3306, 3308, None)
    """
    match = _NODE.fullmatch(name)
    return _BELOW_FIRST_NODE + int(match[1]) if match else None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_settings(**overrides: object) -> Settings:
    """Builds the settings from the environment.

    Raises:
        SettingsError: a value cannot hold; the message names the variable.
    """
    try:
        built = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "KAKOU_" + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg']}. Mend it in the environment or in .env.") from error
    return built.model_copy(update={"var": built.var.absolute(), "parts": built.parts.absolute()})
