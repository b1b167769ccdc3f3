"""The founding paper's experiment on anybody's posts: annotate, agree, train on each annotator's labels, compare.

settings.py   the TOML file
sample.py     which posts, and what people say of them
readers.py    the annotators
study.py      the labels and the cells of the table, each a file, so that a stopped run goes on
table.py      the figures
page.py       the report, as a page, as JSON and as Markdown
run.py        all of it, from the settings to the report
"""
