"""A model, its table, a row, a query; `ENGINE` postgresql with `handle.env()` in `DATABASES`."""

import django
from django.conf import settings

from connvault_jupyter import connection

place = connection("postgresql").env()
database = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": place["PGHOST"],
    "PORT": place["PGPORT"],
    "USER": place["PGUSER"],
    "NAME": place["PGDATABASE"],
    "OPTIONS": {"sslmode": "disable"},
}
settings.configure(DATABASES={"default": database}, DEFAULT_AUTO_FIELD="django.db.models.AutoField")
django.setup()

from django.db import connection as session
from django.db import models


class Visit(models.Model):
    place = models.CharField(max_length=20)

    class Meta:
        app_label = "visits"


with session.schema_editor() as editor:
    editor.create_model(Visit)
Visit.objects.create(place="Bern")
assert list(Visit.objects.filter(place__startswith="B").values_list("place", flat=True)) == ["Bern"]
