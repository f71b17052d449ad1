using System.Globalization;
using System.Text.Json;
using Millrace.Bench;
using Spectre.Console;

const string usage = "usage: ./millrace bench list | NAME [--quick] [--json] [--part PART] [--rival no] [--folder FOLDER]";
var json = args.Contains("--json");
var quick = args.Contains("--quick");
var partAt = Array.IndexOf(args, "--part");
var part = TakeValue("--part");
var rival = TakeValue("--rival") != "no";
var folder = TakeValue("--folder");
var names = args.Where(a => !a.StartsWith('-')).ToArray();
var unknown = args.Where(a => a.StartsWith('-') && a is not ("--json" or "--quick")).ToArray();
var all = typeof(IBenchmark).Assembly.GetTypes()
    .Where(t => t is { IsAbstract: false, IsInterface: false } && t.IsAssignableTo(typeof(IBenchmark)))
    .Select(t => (IBenchmark)Activator.CreateInstance(t, nonPublic: true)!)
    .OrderBy(b => b.Name, StringComparer.Ordinal).ToList();

if (unknown.Length > 0 || names.Length != 1)
{
    Console.Error.WriteLine(unknown.Length > 0 ? $"bench: unknown option {unknown[0]}; {usage}" : usage);
    return 2;
}
if (names[0] == "list")
{
    if (json)
        Console.WriteLine(JsonSerializer.Serialize(all.Select(b => new { name = b.Name, summary = b.Summary })));
    else
        all.ForEach(b => Console.WriteLine($"{b.Name,-12} {b.Summary}"));
    return 0;
}
if (all.Find(b => b.Name == names[0]) is not { } benchmark)
{
    Console.Error.WriteLine($"bench: no benchmark is named '{names[0]}'; there are {string.Join(", ", all.Select(b => b.Name))}");
    return 2;
}
if (partAt >= 0 && (part is null || !benchmark.Parts.Contains(part)))
{
    Console.Error.WriteLine($"bench: {benchmark.Name} has {(benchmark.Parts.Count == 0 ? "no parts" : "the parts " + string.Join(", ", benchmark.Parts))}, not '{part}'");
    return 2;
}
using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, key) =>
{
    key.Cancel = true;
    stop.Cancel();
};
var figures = await benchmark.RunAsync(new BenchOptions(quick, line => Console.Error.WriteLine($"[{benchmark.Name}] {line}"), part, rival, folder), stop.Token);
if (json)
{
    Console.WriteLine(JsonSerializer.Serialize(new { bench = benchmark.Name, figures }, new JsonSerializerOptions(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true,
    }));
}
else
{
    var table = new Table().Border(TableBorder.Simple);
    foreach (var heading in new[] { "figure", "value", "unit", "rival", "rival's", "ratio", "goal", "met" })
        table.AddColumn(heading);
    foreach (var f in figures)
    {
        table.AddRow(new[]
        {
            f.Name, f.Value.ToString("#,0.###", CultureInfo.InvariantCulture), f.Unit, f.Rival ?? "",
            f.RivalValue?.ToString("#,0.###", CultureInfo.InvariantCulture) ?? "", f.Ratio?.ToString("0.00", CultureInfo.InvariantCulture) ?? "",
            f.Goal ?? "", f.Met switch { true => "yes", false => "NO", null => "" },
        }.Select(c => new Text(c)));
    }
    // Without a terminal there is no width to fit.
    if (Console.IsOutputRedirected)
        AnsiConsole.Profile.Width = 200;
    AnsiConsole.Write(table);
}
return figures.Any(f => f.Met == false) ? 1 : 0;

// The value behind an option, which is taken out of the arguments.
string? TakeValue(string option)
{
    var at = Array.IndexOf(args, option);
    if (at < 0)
        return null;
    var value = at + 1 < args.Length ? args[at + 1] : null;
    args = [.. args[..at], .. args[Math.Min(args.Length, at + 2)..]];
    return value;
}
