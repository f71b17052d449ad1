using System.Text.Json.Nodes;
using Millrace.Columnar;
using Millrace.DuckDb;

namespace Millrace.Streams.Sql;

/// <summary>The columns that windows add to a row. Windows are aligned to the epoch: start = time - time mod size.</summary>
internal static class WindowColumns
{
    public const string Start = "window_start";
    public const string End = "window_end";

    /// <summary>The columns with the windows' own behind them; columns of those names give way.</summary>
    public static Schema AddTo(Schema columns) => new(
    [
        .. columns.Fields.Where(f => !IsWindowColumn(f.Name)),
        new Field(Start, DataType.TimestampTz, Nullable: false),
        new Field(End, DataType.TimestampTz, Nullable: false),
    ]);

    /// <summary>A FROM tree: the rows of <paramref name="table"/> with the window's columns, under the alias.</summary>
    public static JsonNode From(SqlSession session, string table, SqlInput input, TimeSpan size, string alias)
    {
        var micros = size.Ticks / TimeSpan.TicksPerMicrosecond;
        var time = $"epoch_us({DuckDbSql.Identifier(input.TimeColumn!)})";
        // % keeps the dividend's sign in SQL; adding the size once more floors times before 1970 as well.
        var start = $"{time} - (({time} % {micros}) + {micros}) % {micros}";
        var hidden = input.Columns.Fields.Where(f => IsWindowColumn(f.Name)).Select(f => DuckDbSql.Identifier(f.Name)).ToArray();
        var star = hidden.Length == 0 ? "*" : $"* EXCLUDE ({string.Join(", ", hidden)})";
        return FromTree(
            session,
            $"(SELECT {star}, make_timestamptz({start}) AS {Start}, make_timestamptz({start} + {micros}) AS {End} FROM {table}) AS {DuckDbSql.Identifier(alias)}");
    }

    /// <summary>A FROM tree: merged partial rows, with the window's end computed from its start.</summary>
    public static JsonNode FromPartials(SqlSession session, TimeSpan size, bool withEnd)
    {
        var micros = size.Ticks / TimeSpan.TicksPerMicrosecond;
        return FromTree(session, withEnd ? $"(SELECT *, make_timestamptz(epoch_us({Start}) + {micros}) AS {End} FROM partials) AS partials" : "partials");
    }

    private static JsonNode FromTree(SqlSession session, string from) =>
        session.Parse($"SELECT 1 FROM {from}")["statements"]![0]!["node"]!["from_table"]!.DeepClone();

    private static bool IsWindowColumn(string name) =>
        name.Equals(Start, StringComparison.OrdinalIgnoreCase) || name.Equals(End, StringComparison.OrdinalIgnoreCase);
}
