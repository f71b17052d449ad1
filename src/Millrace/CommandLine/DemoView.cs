using System.Globalization;
using System.Text.Json.Nodes;
using Spectre.Console;
using Spectre.Console.Rendering;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary>The demo on a terminal: counters, the fullest windows, the newest bad rows, the tables' snapshots.</summary>
internal static class DemoView
{
    public static async Task<IRenderable> RenderAsync(PlatformClient client, string job, CancellationToken cancellation)
    {
        var status = (await client.GetAsync($"/api/jobs/{job}", cancellation))["job"]!;
        var quarantine = await client.GetAsync($"/api/jobs/{job}/quarantine?limit=4", cancellation);
        var tables = await client.GetAsync("/api/tables", cancellation);
        var live = await client.PostJsonAsync(
            "/api/sql", new JsonObject { ["sql"] = "SELECT Country, strftime(window_start, '%H:%M:%S'), orders, revenue FROM live.by_country ORDER BY window_start DESC, revenue DESC", ["maxRows"] = 6 },
            cancellation);
        var source = Values.Rows(status["sources"]).First();
        var counters = new Markup(string.Create(
            CultureInfo.InvariantCulture,
            $"[bold]{source["perSecond"]!.GetValue<double>(),10:#,0}[/] events/s   in [bold]{source["in"]!.GetValue<long>():#,0}[/] = good [green]{source["good"]!.GetValue<long>():#,0}[/] + quarantined [yellow]{source["quarantined"]!.GetValue<long>():#,0}[/]   p99 {Text(status["latency"]?["p99"])} ms   checkpoint {Text(status["checkpoint"]?["id"])}"));
        // A row that is wrapped would push the others off a small terminal.
        var width = Math.Max(20, AnsiConsole.Profile.Width - 8);
        return new Rows(
            counters,
            Table(["country", "window", "orders", "revenue"], (live["rows"] as JsonArray ?? []).Select(r => r!.AsArray().Select(Text).ToArray())),
            Table(
                ["newest bad rows: why", "record"],
                Values.Rows(quarantine["rows"]).Select(r => new[]
                {
                    Cut(string.Join("; ", Values.Rows(r["reasons"]).Select(Text)), width / 2), Cut(Text(r["value"]), width - (width / 2)),
                })),
            Table(
                ["Iceberg table", "rows", "snapshots", "size"],
                Values.Rows(tables["tables"]).Select(t => new[] { $"{Text(t["namespace"])}.{Text(t["name"])}", Text(t["rows"]), Text(t["snapshots"]), Bytes(t["bytes"]) })));
    }

    private static Table Table(string[] headings, IEnumerable<string[]> rows)
    {
        var table = new Table().Border(TableBorder.Simple).BorderColor(Color.Grey);
        foreach (var heading in headings)
            table.AddColumn(new TableColumn($"[bold]{heading}[/]"));
        foreach (var row in rows)
            table.AddRow(row.Select(c => new Text(c)).ToArray());
        return table;
    }

    private static string Cut(string text, int length) => text.Length <= length ? text : text[..(length - 1)] + "…";
}
