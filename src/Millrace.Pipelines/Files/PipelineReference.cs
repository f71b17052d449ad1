using System.Text;
using Millrace.Pipelines.Language;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Files;

/// <summary>The reference page of the pipeline file, written from the same records that bind and check it.</summary>
public static class PipelineReference
{
    /// <summary>The page as Markdown.</summary>
    public static string Markdown()
    {
        var page = new StringBuilder();
        page.Append("""
            # The pipeline file

            <!-- Written from the file records in src/Millrace.Pipelines/Files; a test fails when this page is stale. -->

            A pipeline file is YAML. `millrace lint FILE` checks it, `millrace plan FILE` shows what it does, `millrace run FILE` runs it, and
            `millrace gen TOPIC` writes a first one from a topic's records. Editors complete and check it with its
            [JSON Schema](pipeline.schema.json), which a running Millrace serves at `/api/pipeline.schema.json`; the first line
            `# yaml-language-server: $schema=http://127.0.0.1:8080/api/pipeline.schema.json` turns that on.


            """);
        AppendRecord(page, "The file", typeof(PipelineFile), null);
        AppendRecord(page, "A source", typeof(SourceEntry), "One text is its `from`. Every field but `from` may stand in the address as an option; `schema=a:bigint,b:double` too.");
        AppendRecord(page, "A line of checks", typeof(CheckEntry), "One text is a `rule`.");
        AppendChecks(page);
        AppendSql(page);
        AppendRecord(page, "A sink", typeof(SinkEntry), "One text is its `to`. `key=a,b`, `commit=10s` and `brokers=...` may stand in the address as options.");
        AppendRecord(page, "An alert", typeof(AlertEntry), "One text is its `when`. The condition is SQL over one row of the output, and holds for windowed outputs by each group.");
        AppendRecord(page, "Checkpoints", typeof(CheckpointEntry), "One text is `every`.");
        page.Append("## Times and sizes\n\n");
        page.Append("Times: `500ms`, `5s`, `1m`, `1h`, `2d`, or joined as in `1h30m`. Sizes: `512KiB`, `16MiB`, `1GiB`, `1MB`, or bytes.\n\n");
        page.Append("## Types of columns\n\n");
        page.Append($"{string.Join(", ", TypeNames.Common.Select(t => $"`{t}`"))}; also `smallint`, `tinyint`, `real`, arrays `T[]`, `struct(a T, b T)`, `map(K, V)`. ");
        page.Append("A `timestamptz` is read from ISO 8601 text or a number since 1970.\n");
        return page.ToString();
    }

    private static void AppendRecord(StringBuilder page, string title, Type type, string? note)
    {
        page.Append($"## {title}\n\n");
        if (note is not null)
            page.Append(note).Append("\n\n");
        page.Append("| field | meaning | default |\n|---|---|---|\n");
        foreach (var field in FileModel.Of(type).Fields)
        {
            var about = field.About;
            var meaning = about.Description;
            if (about.Values is { } values)
                meaning += $" One of {string.Join(", ", values.Select(v => $"`{v}`"))}.";
            if (about.Example is { } example)
                meaning += $" E.g. `{example}`.";
            var missing = about.Required ? "required" : about.Default is { } value ? $"`{value}`" : "";
            page.Append($"| `{about.Name}` | {Cell(meaning)} | {missing} |\n");
        }
        page.Append('\n');
    }

    private static void AppendChecks(StringBuilder page)
    {
        page.Append("### Rules\n\n| rule | a row is good when |\n|---|---|\n");
        foreach (var (form, meaning) in CheckParser.Forms)
            page.Append($"| `{Cell(form)}` | {Cell(meaning)} |\n");
        page.Append("\nText stands in single quotes, names with other characters than letters, digits and _ in double quotes. Times are compared with text:\n");
        page.Append("`ts >= '2026-01-01T00:00:00Z'`.\n\n");
    }

    private static void AppendSql(StringBuilder page) => page.Append("""
        ## SQL steps

        A step is one `SELECT` in DuckDB's dialect over one source or one other step.

        - Row by row: `SELECT upper(country) AS country, amount, ts FROM orders WHERE amount > 0`. Any scalar function and expression.
        - By windows: `SELECT country, window_start, sum(amount) AS revenue FROM tumble(orders, 1m) GROUP BY country, window_start`.
          Windows are aligned to 1970-01-01T00:00Z and hold the rows with `window_start <= time < window_end`. `HAVING` chooses groups.
          Aggregates: `sum`, `count`, `count(*)`, `count_if`, `avg`, `min`, `max`, `bool_and`, `bool_or`, each with `FILTER (WHERE ...)`, and any
          expression over them and over what is grouped by.
        - A window over another step needs its event time: pass the time column (or `window_start`) on unchanged.
        - Sums of integers are `DECIMAL(38,0)`; cast them to have others: `CAST(sum(quantity) AS BIGINT)`.

        Refused by name, with the place: joins, subqueries, `WITH`, `UNION`, `ORDER BY`, `LIMIT`, `DISTINCT`, `OVER (...)`, other windows than `tumble`,
        aggregates that cannot be merged (`median`, `count(DISTINCT ...)`, ...), and functions that give another value at each run (`now()`,
        `random()`).


        """);

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);
}
