"""What asking a server would take, as lines for people: tokens, hours, cost."""

from humanvlm.config.endpoint import Endpoint
from humanvlm.inference.tokens import MILLION

HOUR = 3600


def estimate(
    requests: int, asked: float, made: float, most: int, server: Endpoint, how: tuple[str, str], *, charged: bool
) -> list[str]:
    """asked, made: tokens of a prompt and of a reply, on average; most: of the longest reply. how: where those two
    figures are from, in words. charged: the server's prices hold."""
    tokens_in, tokens_out = round(requests * asked), round(requests * made)
    lines = [
        f"tokens in: {tokens_in:,} ({asked:.0f} a request: {how[0]})",
        f"tokens out: {tokens_out:,} ({made:.0f} a request, {how[1]}; at most {most:,} each)",
    ]
    if server.tokens_per_s:
        lines.append(f"hours: {hours(tokens_out / server.tokens_per_s)} at {server.tokens_per_s:g} tokens a second")
    else:
        lines.append("hours: unknown; set endpoint.tokens_per_s to what the server makes a second in all")
    if charged:
        cost, limit = (
            (tokens_in * server.price_in + count * server.price_out) / MILLION
            for count in (tokens_out, requests * most)
        )
        priced = server.price_in or server.price_out
        lines.append(f"cost: {cost:,.2f}, at most {limit:,.2f}" if priced else "cost: unknown; set endpoint.price_in")
    return lines


def hours(seconds: float) -> str:
    return f"{seconds / HOUR:,.2f} h"
