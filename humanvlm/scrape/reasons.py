"""Why a row of the URL index does not become a sample."""


class RefusedError(Exception):
    """One URL or picture that is not stored.

    reason: the name it is counted under, such as ``http_404``, ``timeout``, ``private_address``, ``not_an_image``.
    detail: one line for the reader of the dropped rows; never a port or a time, so that runs compare equal.
    status: the HTTP status, when there was an answer. transient: worth another attempt.
    """

    def __init__(self, reason: str, detail: str = "", *, status: int | None = None, transient: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = " ".join(detail.split())[:200]
        self.status = status
        self.transient = transient
