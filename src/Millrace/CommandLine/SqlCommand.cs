using System.CommandLine;
using System.Text.Json.Nodes;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace sql "..."</c>.</summary>
internal static class SqlCommand
{
    public static Command Create()
    {
        var statement = new Argument<string?>("STATEMENT")
        {
            Description = "The SQL statement; read from standard input when absent or -", Arity = ArgumentArity.ZeroOrOne,
        };
        var most = new Option<int>("--max-rows") { Description = "Rows at most", DefaultValueFactory = _ => 1000 };
        var command = new Command("sql", "Run a SQL statement over tables (namespace.table) and live state (live.OUTPUT)") { statement, most }.WithExamples(
            "./millrace sql \"SELECT country, sum(revenue) FROM sales.by_country GROUP BY ALL ORDER BY 2 DESC\"",
            "./millrace sql \"SELECT * FROM live.by_country\" --json", "echo 'SHOW TABLES' | ./millrace sql");
        command.SetAction(async (parsed, cancellation) =>
        {
            var sql = parsed.GetValue(statement) is { } given and not "-" ? given : await Console.In.ReadToEndAsync(cancellation);
            using var client = parsed.Client();
            JsonNode answer;
            try
            {
                answer = await client.PostJsonAsync("/api/sql", new JsonObject { ["sql"] = sql, ["maxRows"] = parsed.GetValue(most) }, cancellation);
            }
            catch (CommandException failure) when (failure.Data["problem"] is JsonNode problem && problem["sqlState"] is not null)
            {
                if (parsed.GetValue(MillraceCommand.Json))
                    Terminal.WriteJson(problem.DeepClone());
                else
                    Console.Error.WriteLine(Mark(problem, sql));
                return ExitCode.Usage;
            }
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(answer);
                return ExitCode.Success;
            }
            Terminal.WriteTable(
                Rows(answer["columns"]).Select(c => Text(c["name"])).ToArray(),
                (answer["rows"] as JsonArray ?? []).Select(r => (IReadOnlyList<string>)((JsonArray)r!).Select(Text).ToArray()), "no rows");
            if (answer["truncated"]?.GetValue<bool>() == true)
                Console.Error.WriteLine($"(cut at {parsed.GetValue(most)} rows; raise --max-rows)");
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>The message, the line of the statement and a caret under the place, as psql shows it.</summary>
    internal static string Mark(JsonNode problem, string sql)
    {
        var text = $"error {Text(problem["sqlState"])}: {Text(problem["detail"])}";
        if (problem["position"] is { } at)
        {
            var position = Math.Clamp(at.GetValue<int>() - 1, 0, sql.Length);
            var start = position == 0 ? 0 : sql.LastIndexOf('\n', position - 1) + 1;
            var end = sql.IndexOf('\n', position);
            var line = sql[start..(end < 0 ? sql.Length : end)];
            var number = sql.AsSpan(0, start).Count('\n') + 1;
            var prefix = $"LINE {number}: ";
            text += $"\n{prefix}{line}\n{new string(' ', prefix.Length + position - start)}^";
        }
        return problem["hint"] is { } hint ? $"{text}\nhint: {Text(hint)}" : text;
    }
}
