"""The first tables."""
# ruff: noqa: RUF012 - written by makemigrations

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Conversation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("user", models.CharField(default="anonymous", max_length=100)),
                ("message", models.TextField(max_length=100000)),
                ("answer", models.TextField()),
                ("title", models.CharField(default="", max_length=200)),
            ],
        ),
    ]
