"""ematix-flow's side of the moves from PostgreSQL to PostgreSQL: `flow run --module ematix_flow_pipelines MODE`.

Connections come from EMATIX_FLOW_DSN_SOURCE and EMATIX_FLOW_DSN_TARGET. It asks every table for a primary key, also
when it only appends, and adds two columns of its own, of the load.
"""

import os
from typing import Annotated

from ematix_flow import ematix, pk  # type: ignore[import-not-found]  # only in its own environment
from ematix_flow.types import BigInt, Date, Integer, Numeric, Text  # type: ignore[import-not-found]  # see above

QUERY = f"SELECT * FROM public.{os.environ['SOURCE_TABLE']}"


@ematix.table(schema="target", name="lineitem")
class Lineitem:
    """TPC-H lineitem."""

    l_orderkey: Annotated[BigInt, pk()]
    l_partkey: BigInt
    l_suppkey: BigInt
    l_linenumber: Annotated[Integer, pk()]
    l_quantity: Numeric[15, 2]
    l_extendedprice: Numeric[15, 2]
    l_discount: Numeric[15, 2]
    l_tax: Numeric[15, 2]
    l_returnflag: Text
    l_linestatus: Text
    l_shipdate: Date
    l_commitdate: Date
    l_receiptdate: Date
    l_shipinstruct: Text
    l_shipmode: Text
    l_comment: Text


def _declare(mode: str) -> None:
    @ematix.pipeline(  # type: ignore[untyped-decorator]  # see above
        name=mode, target=Lineitem, source_connection="source", target_connection="target", mode=mode,
        schedule="0 0 * * *",
    )  # fmt: skip
    def pipeline(source: object, target: object) -> str:  # noqa: ARG001 - with one argument it reads from the target
        return QUERY


for mode in ("append", "truncate", "merge", "scd2"):
    _declare(mode)
