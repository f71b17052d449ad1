using System.CommandLine;
using System.Text.Json.Nodes;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace job list|show|stop|restart|remove</c>.</summary>
internal static class JobCommands
{
    public static Command Create()
    {
        var job = new Command("job", "Pipelines that were submitted");
        job.Subcommands.Add(List());
        job.Subcommands.Add(Show());
        job.Subcommands.Add(Change("stop", "Stop a job after a last checkpoint", "stopped"));
        job.Subcommands.Add(Change("restart", "Start a job again from its last checkpoint", "started"));
        job.Subcommands.Add(Remove());
        return job;
    }

    private static Command List()
    {
        var command = new Command("list", "List jobs with their rates").WithExamples("./millrace job list", "./millrace job list --json | jq '.jobs[].name'");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = parsed.Client();
            var answer = await client.GetAsync("/api/jobs", cancellation);
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(answer);
                return ExitCode.Success;
            }
            Terminal.WriteTable(
                ["job", "state", "in", "good", "quarantined", "late", "events/s", "lag", "checkpoint"],
                Rows(answer["jobs"]).Select(j =>
                {
                    var sources = Rows(j["sources"]).ToList();
                    return new[]
                    {
                        Text(j["name"]), Text(j["state"]), Sum(sources, "in"), Sum(sources, "good"), Sum(sources, "quarantined"), Sum(sources, "late"),
                        Sum(sources, "perSecond"), Sum(sources, "lag"), Text(j["checkpoint"]?["id"]),
                    };
                }),
                "no jobs; start one with: ./millrace run FILE");
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Show()
    {
        var name = NameArgument();
        var command = new Command("show", "Show one job: sources, outputs, sinks, checkpoint, latency") { name }.WithExamples("./millrace job show orders_by_country");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = parsed.Client();
            var answer = await client.GetAsync($"/api/jobs/{Uri.EscapeDataString(parsed.GetValue(name)!)}", cancellation);
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(answer);
                return ExitCode.Success;
            }
            var job = answer["job"]!;
            Console.Out.WriteLine($"{Text(job["name"])}: {Text(job["state"])}{(job["reason"] is { } reason ? " (" + Text(reason) + ")" : "")}");
            Console.Out.WriteLine(
                $"checkpoint {Text(job["checkpoint"]?["id"])}, took {Text(job["checkpoint"]?["tookMillis"])} ms, "
                + $"good + quarantined + waiting = in: {(job["checkpoint"]?["balanced"]?.GetValue<bool>() == true ? "holds" : "BROKEN")}");
            Console.Out.WriteLine($"latency ms: p50 {Text(job["latency"]?["p50"])}, p95 {Text(job["latency"]?["p95"])}, p99 {Text(job["latency"]?["p99"])}");
            Terminal.WriteTable(
                ["source", "topic", "in", "good", "quarantined", "waiting", "retried", "late", "events/s", "lag", "watermark"],
                Rows(job["sources"]).Select(s => new[]
                {
                    Text(s["name"]), Text(s["topic"]), Text(s["in"]), Text(s["good"]), Text(s["quarantined"]), Text(s["waiting"]), Text(s["retried"]), Text(s["late"]), Text(s["perSecond"]),
                    Text(s["lag"]), Text(s["watermark"]),
                }), "no sources");
            foreach (var source in Rows(job["sources"]).Where(s => s["waitingFor"] is not null))
                Console.Out.WriteLine($"{Text(source["name"])} waits: {Text(source["waitingFor"])}");
            Terminal.WriteTable(
                ["output", "rows", "open windows"],
                Rows(job["outputs"]).Select(o => new[] { Text(o["name"]), Text(o["rows"]), Text(o["openWindows"]) }), "no outputs");
            Terminal.WriteTable(
                ["sink of", "target", "committed", "pending", "refused", "last commit"],
                Rows(job["sinks"]).Select(s => new[] { Text(s["input"]), Text(s["target"]), Text(s["committed"]), Text(s["pending"]), Text(s["refused"]), Text(s["lastCommit"]) }),
                "no sinks");
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Change(string verb, string description, string done)
    {
        var name = NameArgument();
        var command = new Command(verb, description) { name }.WithExamples($"./millrace job {verb} orders_by_country");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = parsed.Client();
            var job = parsed.GetValue(name)!;
            await client.PostJsonAsync($"/api/jobs/{Uri.EscapeDataString(job)}/{verb}", new JsonObject(), cancellation);
            Done(parsed, $"job {job} {done}", new JsonObject { ["job"] = job, [done] = true });
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Remove()
    {
        var name = NameArgument();
        var command = new Command("remove", "Stop a job and forget it with its state; tables and topics stay") { name }
            .WithExamples("./millrace job remove orders_by_country");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = parsed.Client();
            var job = parsed.GetValue(name)!;
            await client.DeleteAsync($"/api/jobs/{Uri.EscapeDataString(job)}", cancellation);
            Done(parsed, $"job {job} removed", new JsonObject { ["job"] = job, ["removed"] = true });
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>A job's name, completed from the running platform.</summary>
    private static Argument<string> NameArgument()
    {
        var name = new Argument<string>("NAME") { Description = "The job's name" };
        name.CompletionSources.Add(context => CompletionCommand.Names(context.ParseResult, "/api/jobs", "jobs", n => Text(n["name"])));
        return name;
    }
}
