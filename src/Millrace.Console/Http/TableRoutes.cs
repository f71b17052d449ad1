using System.Buffers;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Millrace.Streams.Sql;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Http;

internal sealed class TableRoutes(ConsoleServices services, ConsoleOptions options, TimeProvider time)
{
    private const string Tag = "tables";
    private const int DefaultRows = 1000;

    private static readonly TextParameter Namespace = new("namespace", ParameterPlace.Path, "the table's namespace");
    private static readonly TextParameter Table = new("table", ParameterPlace.Path, "the table's name");

    private static readonly FlagParameter DryRun = new("dryRun", "tell what would be done, and do nothing");
    private static readonly TextParameter Keep = new("keep", ParameterPlace.Query, "younger snapshots stay, e.g. 1h; forever keeps all [the table's property, then the settings]", Required: false);
    private static readonly IntegerParameter KeepLast = new("keepLast", ParameterPlace.Query, "so many of the newest stay; 0 for the table's property, then the settings", 0, 0, 1_000_000);
    private static readonly IntegerParameter Target = new("targetBytes", ParameterPlace.Query, "size of the files to make; 0 for the settings'", 0, 0, 1L << 40);
    private static readonly TextParameter OlderThan = new("olderThan", ParameterPlace.Query, "younger files may belong to a commit that is under way [3d]", Required: false);

    public IReadOnlyList<Route> All() =>
    [
        new("GET", "/api/tables", Tag, "listTables", "Iceberg tables")
        {
            Answers = [new(200, "every table", Type: ConsoleJson.Relaxed.TableList)],
            Serve = async context => await Replies.JsonAsync(
                context, new TableList(await services.Tables.ListAsync(context.RequestAborted)), ConsoleJson.Relaxed.TableList),
        },
        new("GET", "/api/tables/{namespace}/{table}", Tag, "getTable", "One table: schema, snapshots, files")
        {
            Parameters = [Namespace, Table],
            Answers = [new(200, "the table", Type: ConsoleJson.Relaxed.TableDetail), Answer.Problem(404, "no such table")],
            Serve = async context =>
            {
                var (space, name) = (Namespace.Read(context), Table.Read(context));
                var table = await services.Tables.FindAsync(space, name, context.RequestAborted)
                    ?? throw NoTable(space, name);
                await Replies.JsonAsync(context, table, ConsoleJson.Relaxed.TableDetail);
            },
        },
        new("DELETE", "/api/tables/{namespace}/{table}", Tag, "dropTable", "Drop a table with its files")
        {
            Description = "A job that still writes to it makes it again, with the rows that come from then on.",
            Parameters = [Namespace, Table],
            Answers = [new(204, "gone", null), Answer.Problem(404, "no such table")],
            Serve = async context =>
            {
                var (space, name) = (Namespace.Read(context), Table.Read(context));
                if (!await services.Tables.DropAsync(space, name, context.RequestAborted))
                    throw NoTable(space, name);
                context.Response.StatusCode = 204;
            },
        },
        Upkeep("expire", "expireSnapshots", "Take out old snapshots with the files that only they need", [Keep, KeepLast], context => new TableTask.Expire(
            Keep.ReadOptional(context) == "forever" ? TimeSpan.MaxValue : Duration(Keep, context), KeepLast.Read(context) is > 0 and var last ? (int)last : null)),
        Upkeep("compact", "compactTable", "Rewrite small files as large ones", [Target], context => new TableTask.Compact(
            Target.Read(context) is > 0 and var bytes ? bytes : null)),
        Upkeep("clean", "cleanTable", "Delete files in the table's folder that nothing names", [OlderThan], context => new TableTask.Clean(
            Duration(OlderThan, context) ?? TimeSpan.FromDays(3))),
        new("POST", "/api/sql", "sql", "runSql", "Run one SQL statement")
        {
            Description = "The same engine, caps and views as on the PostgreSQL port.",
            Body = new("the statement", ["application/json"], ConsoleJson.Relaxed.SqlRequest,
                """{"sql": "SELECT 1 AS one", "maxRows": 100}"""),
            Answers =
            [
                new(200, "the rows", Type: ConsoleJson.Relaxed.SqlReply),
                Answer.Problem(400, "the statement is wrong; position, line and column say where"),
            ],
            Serve = SqlAsync,
        },
    ];

    private Route Upkeep(string verb, string id, string summary, Parameter[] parameters, Func<HttpContext, TableTask> read) =>
        new("POST", $"/api/tables/{{namespace}}/{{table}}/{verb}", Tag, id, summary)
        {
            Parameters = [Namespace, Table, .. parameters, DryRun],
            Answers = [new(200, "what was done, or would be", Type: ConsoleJson.Relaxed.UpkeepReply), Answer.Problem(404, "no such table"), Answer.Problem(409, "others commit to it")],
            Serve = async context =>
            {
                var (space, name) = (Namespace.Read(context), Table.Read(context));
                var reply = await services.Tables.UpkeepAsync(space, name, read(context), DryRun.Read(context), context.RequestAborted) ?? throw NoTable(space, name);
                await Replies.JsonAsync(context, reply, ConsoleJson.Relaxed.UpkeepReply);
            },
        };

    private static TimeSpan? Duration(TextParameter parameter, HttpContext context)
    {
        if (parameter.ReadOptional(context) is not { } text)
            return null;
        return DurationText.TryParse(text, out var duration, out var problem)
            ? duration
            : throw new ConsoleException(400, "Bad parameter", $"'{parameter.Name}': {problem}", DurationText.Hint);
    }

    private static ConsoleException NoTable(string space, string name) =>
        new(404, "No such table", $"no table is named '{space}.{name}'", "list them: ./millrace table list");

    private async Task SqlAsync(HttpContext context)
    {
        var request = await Replies.ReadJsonAsync(context, ConsoleJson.Relaxed.SqlRequest);
        var maxRows = request.MaxRows ?? Math.Min(DefaultRows, options.MaxSqlRows);
        if (maxRows < 1 || maxRows > options.MaxSqlRows)
            throw new ConsoleException(400, "Bad parameter", $"'maxRows' must be from 1 to {options.MaxSqlRows} (MaxSqlRows), not {maxRows}");
        if (string.IsNullOrWhiteSpace(request.Sql))
            throw new ConsoleException(400, "Empty statement", "there is no SQL to run", "try SELECT 1");
        var started = time.GetTimestamp();
        using var answer = await services.Sql.RunAsync(request.Sql, maxRows, context.RequestAborted);
        switch (answer)
        {
            case SqlAnswer.Rows rows: await WriteRowsAsync(context, rows, maxRows, time.GetElapsedTime(started)); break;
            case SqlAnswer.Fault fault: await WriteFaultAsync(context, request.Sql, fault); break;
            default: throw new InvalidOperationException($"an answer of kind {answer.GetType().Name}");
        }
    }

    private async Task WriteRowsAsync(HttpContext context, SqlAnswer.Rows rows, int maxRows, TimeSpan took)
    {
        var buffer = new ArrayBufferWriter<byte>(64 << 10);
        await using (var writer = new Utf8JsonWriter(buffer, ConsoleJson.Writer))
        {
            writer.WriteStartObject();
            JsonTables.WriteColumns(writer, rows.Schema);
            writer.WriteStartArray("rows"u8);
            var (written, cut) = WriteRows(writer, rows, maxRows);
            writer.WriteEndArray();
            writer.WriteNumber("rowCount"u8, written);
            writer.WriteBoolean("truncated"u8, rows.Truncated || cut);
            writer.WriteNumber("tookMillis"u8, Math.Round(took.TotalMilliseconds, 2));
            writer.WriteString("tag"u8, rows.Tag);
            writer.WriteEndObject();
        }
        context.Response.ContentType = "application/json; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        await context.Response.Body.WriteAsync(buffer.WrittenMemory, context.RequestAborted);
    }

    private (int Written, bool Cut) WriteRows(Utf8JsonWriter writer, SqlAnswer.Rows rows, int maxRows)
    {
        var written = 0;
        foreach (var batch in rows.Batches)
        {
            for (var row = 0; row < batch.RowCount; row++)
            {
                if (written == maxRows || writer.BytesCommitted + writer.BytesPending > options.MaxSqlBytes)
                    return (written, true);
                JsonTables.WriteRow(writer, batch, row);
                written++;
            }
        }
        return (written, false);
    }

    private static Task WriteFaultAsync(HttpContext context, string sql, SqlAnswer.Fault fault)
    {
        var (line, column) = Place(sql, fault.Position);
        return Replies.ProblemAsync(context, new Problem
        {
            Type = Replies.TypeOf("SQL error"),
            Title = "SQL error",
            Status = 400,
            Detail = fault.Message,
            Hint = fault.Hint,
            SqlState = fault.SqlState,
            Position = fault.Position,
            Line = line,
            Column = column,
        });
    }

    private static (int? Line, int? Column) Place(string sql, int? position)
    {
        if (position is not { } at || at < 1)
            return (null, null);
        var (line, column) = (1, 1);
        foreach (var rune in sql.EnumerateRunes())
        {
            if (--at == 0)
                break;
            (line, column) = rune.Value == '\n' ? (line + 1, 1) : (line, column + 1);
        }
        // Behind the last character is still a place: where something is missing.
        return at > 1 ? (null, null) : (line, column);
    }
}
