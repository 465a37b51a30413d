"""The fields of a pass, written once.

Each other place that needs a column name, its order, its SQL or Arrow type or its meaning takes it from here.
The order of ``FIELDS_8`` and ``FIELDS_12`` is a contract: files, Kafka values and the API rely on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a pass.

    Attributes:
        name: upper-case name in files; its lower case is the column name in SQL and JSON.
        meaning_zh, meaning_en: what it says.
        sql: type in ``traffic_data`` (MySQL 5.7 and MariaDB 10.11).
        max_chars: longest value that the table holds; a longer one is rejected, never cut.
    """

    name: str
    meaning_zh: str
    meaning_en: str
    sql: str
    max_chars: int


_KEY = "VARCHAR({n}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

FIELDS: Final[tuple[Field, ...]] = (
    Field("GCXH", "过车序号", "pass id", _KEY.format(n=64), 64),
    Field("XZQHMC", "行政区划名称", "district", "VARCHAR(64)", 64),
    Field("KKMC", "卡口名称", "gate", _KEY.format(n=50), 50),
    Field("FXLX", "方向类型", "direction", "VARCHAR(8)", 8),
    Field("GCSJ", "过车时间", "pass time", "DATETIME", 19),
    Field("HPZL", "号牌种类", "plate type code", "VARCHAR(8)", 8),
    Field("HPHM", "号牌号码", "plate", _KEY.format(n=20), 20),
    Field("CLPPXH", "车辆品牌型号", "brand and model", "VARCHAR(100)", 100),
    Field("PROVINCE", "省份", "province of the plate", "VARCHAR(16)", 16),
    Field("IS_WEEKEND", "是否周末", "1 on Saturday and Sunday", "TINYINT", 1),
    Field("IS_PEAK_HOUR", "是否高峰", "1 in the hours 7, 8, 17, 18", "TINYINT", 1),
    Field("VEHICLE_TYPE_NAME", "车辆类型", "plate type in words", "VARCHAR(32)", 32),
)

FIELDS_12: Final[tuple[str, ...]] = tuple(f.name for f in FIELDS)
FIELDS_8: Final[tuple[str, ...]] = FIELDS_12[:8]
COLUMNS_12: Final[tuple[str, ...]] = tuple(name.lower() for name in FIELDS_12)

# Beside the contract columns each Parquet artefact says where a row is from.
ORIGIN_COLUMNS: Final[tuple[str, ...]] = ("ORIGIN", "IMPUTED", "SOURCE")
ORIGINS: Final[tuple[str, ...]] = ("observed", "copied", "replicated")

DIMENSION_COLUMNS: Final[tuple[str, ...]] = (
    "KKMC", "NAME", "ALIASES", "XZQHMC", "ROAD", "STAKE", "BOUNDARY", "LON", "LAT",
)  # fmt: skip

MISSING: Final = "-"
TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
PEAK_HOURS: Final[frozenset[int]] = frozenset({7, 8, 17, 18})
CODENAME_MAX: Final = 50

# Plate type codes (GA/T 16.7) as far as the export holds them.
VEHICLE_TYPE_NAMES: Final[dict[str, str]] = {
    "01": "大型汽车",
    "02": "小型汽车",
    "13": "低速车",
    "22": "临时行驶车",
    "23": "公安警车",
    "51": "大型新能源汽车",
    "52": "小型新能源汽车",
}
UNKNOWN_VEHICLE_TYPE: Final = "未知"

PROVINCES: Final[dict[str, str]] = {
    "京": "北京", "津": "天津", "冀": "河北", "晋": "山西", "蒙": "内蒙古", "辽": "辽宁", "吉": "吉林",
    "黑": "黑龙江", "沪": "上海", "苏": "江苏", "浙": "浙江", "皖": "安徽", "闽": "福建", "赣": "江西",
    "鲁": "山东", "豫": "河南", "鄂": "湖北", "湘": "湖南", "粤": "广东", "桂": "广西", "琼": "海南",
    "渝": "重庆", "川": "四川", "贵": "贵州", "云": "云南", "藏": "西藏", "陕": "陕西", "甘": "甘肃",
    "青": "青海", "宁": "宁夏", "新": "新疆",
}  # fmt: skip
UNKNOWN_PROVINCE: Final = "未知"
