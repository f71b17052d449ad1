using System.Text;
using Millrace.Columnar;
using Millrace.Query;
using Millrace.Query.Wire;

namespace Millrace.Tests.Query;

/// <summary>
/// Statements with expected rows, in files that anyone can add to. A record begins with <c>statement ok</c>, <c>statement error STATE [POSITION]</c>
/// or <c>query [sorted]</c>, then the SQL; rows stand behind <c>----</c> in PostgreSQL's text, values between <c> | </c>, null as <c>NULL</c>. An
/// error may have a part of its message or hint there. Lines with <c>#</c> are comments. Each file has a session and warehouse of its own
/// (<see cref="QueryHouse.WithTables"/>).
/// </summary>
public sealed class SltTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "tests", "Millrace.Tests", "Query", "slt");

    public static TheoryData<string> Files() => new(Directory.GetFiles(Folder, "*.slt").Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Files))]
    public async Task The_file_holds(string file)
    {
        await using var house = QueryHouse.WithTables();
        await using var session = house.Engine.OpenSession(new SqlSessionOptions { User = "tester" });
        var failures = new StringBuilder();
        foreach (var record in Read(await File.ReadAllLinesAsync(Path.Combine(Folder, file))))
        {
            var (actual, expected) = await RunAsync(session, record);
            if (actual != expected)
                failures.AppendLine($"{file}:{record.Line}: {record.Sql}\n  expected:\n{Indent(expected)}\n  got:\n{Indent(actual)}");
        }
        Assert.True(failures.Length == 0, failures.ToString());
    }

    private static async Task<(string Actual, string Expected)> RunAsync(SqlSession session, Record record)
    {
        var expected = string.Join('\n', record.Expected);
        try
        {
            await using var result = await session.ExecuteAsync(record.Sql);
            var rows = new List<string>();
            var encoder = new RowEncoder(result.Columns, [], session.Settings.Zone);
            using var writer = new BackendWriter();
            while (await result.NextAsync() is { } batch)
            {
                using (batch)
                {
                    for (var row = 0; row < batch.RowCount; row++)
                        rows.Add(Row(encoder, writer, batch, row));
                }
            }
            if (record.Kind[0] == "statement")
                return ($"ok", record.Kind[1] == "ok" ? "ok" : string.Join(' ', record.Kind[1..]));
            if (record.Kind is [_, "sorted"])
                rows.Sort(StringComparer.Ordinal);
            return (string.Join('\n', rows), expected);
        }
        catch (SqlException error)
        {
            if (record.Kind is not ["statement", "error", ..])
                return ($"error {error.SqlState} {error.Position}: {error.Message} ({error.Hint})", record.Kind[0] == "query" ? expected : "ok");
            var actual = record.Kind.Length > 3 ? $"error {error.SqlState} {error.Position}" : $"error {error.SqlState}";
            var said = $"{error.Message} {error.Hint}";
            return said.Contains(expected, StringComparison.Ordinal)
                ? (actual, string.Join(' ', record.Kind[1..]))
                : ($"{actual}: {said}", $"{string.Join(' ', record.Kind[1..])}: {expected}");
        }
    }

    private static string Row(RowEncoder encoder, BackendWriter writer, ColumnBatch batch, int row)
    {
        var values = new string[batch.Columns.Count];
        for (var i = 0; i < values.Length; i++)
        {
            writer.Clear();
            if (!batch[i].IsNull(row))
                encoder.WriteValue(writer, batch, row, i);
            values[i] = batch[i].IsNull(row) ? "NULL" : Encoding.UTF8.GetString(writer.Written.Span);
        }
        return string.Join(" | ", values);
    }

    private static string Indent(string text) => "    " + text.Replace("\n", "\n    ", StringComparison.Ordinal);

    private static IEnumerable<Record> Read(string[] lines)
    {
        for (var i = 0; i < lines.Length; i++)
        {
            if (lines[i].Length == 0 || lines[i].StartsWith('#'))
                continue;
            var (kind, line) = (lines[i].Split(' '), i + 1);
            if (kind is not (["statement", "ok"] or ["statement", "error", _, ..] or ["query"] or ["query", "sorted"]))
                throw new InvalidDataException($"line {line}: '{lines[i]}' begins no record");
            var sql = new List<string>();
            for (i++; i < lines.Length && lines[i].Length > 0 && lines[i] != "----"; i++)
                sql.Add(lines[i]);
            var expected = new List<string>();
            if (i < lines.Length && lines[i] == "----")
            {
                for (i++; i < lines.Length && lines[i].Length > 0; i++)
                    expected.Add(lines[i]);
            }
            yield return new Record(line, kind, string.Join('\n', sql), expected);
        }
    }

    private sealed record Record(int Line, string[] Kind, string Sql, List<string> Expected);
}
