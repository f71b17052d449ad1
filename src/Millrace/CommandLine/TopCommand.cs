using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Spectre.Console;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace top</c>: the console's overview as text, redrawn each second.</summary>
internal static class TopCommand
{
    public static Command Create()
    {
        var once = new Option<bool>("--once") { Description = "Print one view and end" };
        var command = new Command("top", "Live view of jobs, rates, latency and the process") { once }.WithExamples("./millrace top", "./millrace top --once --json");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = parsed.Client();
            var status = await client.GetAsync("/api/status", cancellation);
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(status);
                return ExitCode.Success;
            }
            if (parsed.GetValue(once) || Console.IsOutputRedirected)
            {
                AnsiConsole.Write(View(status));
                return ExitCode.Success;
            }
            await AnsiConsole.Live(View(status)).StartAsync(async live =>
            {
                using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1));
                while (await timer.WaitForNextTickAsync(cancellation))
                {
                    live.UpdateTarget(View(await client.GetAsync("/api/status", cancellation)));
                    live.Refresh();
                }
            });
            return ExitCode.Success;
        });
        return command;
    }

    private static Rows View(JsonNode status)
    {
        var process = status["process"];
        var head = new Markup(string.Create(
            CultureInfo.InvariantCulture,
            $"[bold]Millrace {Markup.Escape(Text(process?["version"]))}[/]  up {Text(process?["uptimeSeconds"])} s  {Text(process?["cores"])} of {Text(process?["processors"])} cores  "
            + $"{Bytes(process?["residentBytes"])} resident  {Bytes(process?["dataBytes"])} data  {Bytes(process?["diskFreeBytes"])} disk free"));
        var jobs = new Table().Border(TableBorder.Simple).BorderColor(Color.Grey);
        foreach (var heading in new[] { "job", "state", "events/s", "in", "quarantined", "late", "lag", "p50 ms", "p99 ms", "checkpoint" })
            jobs.AddColumn(heading);
        foreach (var job in Values.Rows(status["jobs"]))
        {
            var sources = Values.Rows(job["sources"]).ToList();
            jobs.AddRow(new[]
            {
                Text(job["name"]), Text(job["state"]), Sum(sources, "perSecond"), Sum(sources, "in"), Sum(sources, "quarantined"), Sum(sources, "late"),
                Sum(sources, "lag"), Text(job["latency"]?["p50"]), Text(job["latency"]?["p99"]), Text(job["checkpoint"]?["id"]),
            }.Select(c => new Text(c)));
        }
        return new Rows(head, jobs);
    }
}
