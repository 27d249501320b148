"""The users pipeline over topics of other names, so that one Kafka holds several backlogs."""

from penstock.pipelines.contract import Pipeline
from penstock.users import USERS

MALFORMED_PERCENT = (0, 2, 10)


def over(topic: str) -> Pipeline:
    """The same records, table and checks; another topic."""
    return USERS.model_copy(update={"topic": topic})


USERS_CREATED = USERS
USERS_MALFORMED_0 = over("users_malformed_0")
USERS_MALFORMED_2 = over("users_malformed_2")
USERS_MALFORMED_10 = over("users_malformed_10")
