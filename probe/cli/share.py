"""`--share DIR`: the report as JSON, Markdown and HTML in a folder of the whole group."""

from pathlib import Path

from probe.cli import console
from probe.cli.output import Answer, bytes_of
from probe.cli.session import Session
from probe.messages import t
from probe.report.documents import ReportDocument
from probe.report.encode import to_json
from probe.report.share import Owner, share_files


def share_report(
    folder: Path, document: ReportDocument, answer: Answer, session: Session, *, quiet: bool
) -> None:
    """Write the report's three files and its entry in the history.

    Raises:
        InputError: the folder is missing, full, read-only or gone; nothing half-written is left.
    """
    host = document.machine.host
    files = {
        ".json": to_json(document, pretty=False),
        ".md": bytes_of(answer, "markdown", session),
        ".html": bytes_of(answer, "html", session),
    }
    owner = Owner(id=host.id, name=host.name)
    written, _ = share_files(folder, owner, document.created_at, files)
    if not quiet:
        for path in written:
            console.say(t("cli.talk.written", session.lang, path=str(path)))
