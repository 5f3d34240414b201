"""A model, a row, a query; with the handle's engine."""

from sqlmodel import Field, Session, SQLModel, select

from connvault_jupyter import connection


class Hero(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str


engine = connection("postgresql").engine()
SQLModel.metadata.create_all(engine)
with Session(engine) as session:
    session.add(Hero(name="Tell"))
    session.commit()
    assert session.exec(select(Hero)).one().name == "Tell"
