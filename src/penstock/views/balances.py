"""Runs, and whether they balance."""

from collections.abc import Sequence

from rich.text import Text

from penstock.audit.ledger import Balance
from penstock.views.console import out, plain


def show_balances(balances: Sequence[Balance]) -> None:
    """Runs and where their items are, two lines each: names of runs are long, and the equation is to be read."""
    for balance in balances:
        account = balance.account
        more = {
            "acknowledged": account.acknowledged,
            "repeated": account.repeated,
            "duplicates": account.duplicates,
            "expired": balance.expired,
        }
        details = ", ".join(f"{name} {number}" for name, number in more.items() if number or name == "acknowledged")
        out.print(Text(plain(account.run or "messages of no run"), style="bold"), _verdict(balance), soft_wrap=True)
        out.print(f"  {balance.equation()}; {details}", markup=False, soft_wrap=True)


def _verdict(balance: Balance) -> Text:
    if balance.problem:
        return Text("does not balance", style="red")
    if balance.settled:
        return Text("balances", style="green")
    return Text("in flight" if balance.account.in_flight else "not reported", style="yellow")
