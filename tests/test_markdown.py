"""Tables in Markdown: a row a line, whatever the cells hold."""

from rexnet_ai_real.markdown import markdown_table


def test_cells_stay_in_their_row() -> None:
    table = markdown_table(("file", "n"), [("a|b\nc", "1"), ("", "20")], right=[1])
    assert table == "| file | n |\n| --- | ---: |\n| a\\|b c | 1 |\n|  | 20 |"
