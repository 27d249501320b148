"""The users pipeline over topics of other names, so that one Kafka holds several backlogs."""

from typing import Literal

from penstock.contract import Pipeline
from penstock.users import USERS

MALFORMED_PERCENT = (0, 2, 10)


def over(topic: str, absent: Literal["clear", "keep"] = "clear") -> Pipeline:
    """The same records, table and checks; another topic."""
    return USERS.model_copy(update={"topic": topic, "absent": absent})


USERS_CREATED = USERS
USERS_MALFORMED_0 = over("users_malformed_0")
USERS_MALFORMED_2 = over("users_malformed_2")
USERS_MALFORMED_10 = over("users_malformed_10")

USERS_WHOLE_KEEP = over("users_whole_keep", "keep")
USERS_WHOLE_CLEAR = over("users_whole_clear")
USERS_HALF_KEEP = over("users_half_keep", "keep")
USERS_HALF_CLEAR = over("users_half_clear")
