"""Reports as one HTML file: text, tables, pictures, and molecules that turn under the mouse."""

from molrl.report.content import Entry, Map, Picture, Section, Table
from molrl.report.page import write_report

__all__ = ["Entry", "Map", "Picture", "Section", "Table", "write_report"]
