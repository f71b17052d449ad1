using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Millrace.WebConsole.Events;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Http;

internal sealed class JobRoutes(ConsoleServices services, ConsoleOptions options)
{
    private const string Tag = "jobs";

    private static readonly TextParameter Name = new("name", ParameterPlace.Path, "the job's name");
    private static readonly TextParameter Output = new("output", ParameterPlace.Path, "the output's name");
    private static readonly FlagParameter DryRun = new("dryRun", "check the file and start nothing");
    private static readonly IntegerParameter Limit = new("limit", ParameterPlace.Query, "rows at most", 50, 1, 1000);
    private static readonly IntegerParameter Windows = new("windows", ParameterPlace.Query, "newest windows to show", 4, 1, 100);
    private static readonly IntegerParameter Keys = new("keys", ParameterPlace.Query, "rows of a window to show, largest first measure first; without windows, newest rows", 100, 1, 10_000);

    private static readonly string[] Yaml = ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"];
    private static readonly Answer NoJob = Answer.Problem(404, "no such job");

    private readonly LiveRows _live = new();

    public IReadOnlyList<Route> All() =>
    [
        new("GET", "/api/jobs", Tag, "listJobs", "Jobs and what they do now")
        {
            Answers = [new(200, "every job", Type: ConsoleJson.Relaxed.JobList)],
            Serve = context => Replies.JsonAsync(
                context, new JobList([.. services.Jobs.List().Select(JobInfos.Of)]), ConsoleJson.Relaxed.JobList),
        },
        new("POST", "/api/jobs", Tag, "submitJob", "Submit a pipeline file")
        {
            Parameters = [DryRun],
            Body = new("the pipeline file", Yaml, null, "pipeline: orders_by_country\nsources:\n  orders: kafka:orders?format=json&time=ts\n"),
            Answers =
            [
                new(200, "a dry run found no error", Type: ConsoleJson.Relaxed.SubmitReply),
                new(201, "the job runs", Type: ConsoleJson.Relaxed.SubmitReply),
                Answer.Problem(409, "a job of that name is there"),
                Answer.Problem(422, "the file has errors; see diagnostics"),
            ],
            Serve = SubmitAsync,
        },
        new("GET", "/api/jobs/{name}", Tag, "getJob", "One job with its file and plan")
        {
            Parameters = [Name],
            Answers = [new(200, "the job", Type: ConsoleJson.Relaxed.JobDetail), NoJob],
            Serve = context =>
            {
                var job = Find(context);
                return Replies.JsonAsync(
                    context, new JobDetail(JobInfos.Of(job), job.File, services.Jobs.Graph(job)), ConsoleJson.Relaxed.JobDetail);
            },
        },
        new("DELETE", "/api/jobs/{name}", Tag, "removeJob", "Stop a job and forget it with its state")
        {
            Description = "Tables and topics that it wrote stay.",
            Parameters = [Name],
            Answers = [new(204, "gone", null), NoJob],
            Serve = context => ChangeAsync(context, services.Jobs.RemoveAsync),
        },
        new("POST", "/api/jobs/{name}/stop", Tag, "stopJob", "Stop a job after a last checkpoint")
        {
            Parameters = [Name],
            Answers = [new(204, "stopped", null), NoJob],
            Serve = context => ChangeAsync(context, services.Jobs.StopAsync),
        },
        new("POST", "/api/jobs/{name}/restart", Tag, "restartJob", "Start a job again from its last checkpoint")
        {
            Parameters = [Name],
            Answers = [new(204, "started", null), NoJob],
            Serve = context => ChangeAsync(context, services.Jobs.RestartAsync),
        },
        new("GET", "/api/jobs/{name}/plan", Tag, "getPlan", "The job's steps as a graph")
        {
            Parameters = [Name],
            Answers = [new(200, "the graph", Type: ConsoleJson.Relaxed.PlanInfo), NoJob],
            Serve = context => Replies.JsonAsync(context, services.Jobs.Graph(Find(context)), ConsoleJson.Relaxed.PlanInfo),
        },
        new("GET", "/api/jobs/{name}/quarantine", Tag, "listQuarantined", "The newest quarantined rows with their reasons")
        {
            Parameters = [Name, Limit],
            Answers = [new(200, "rows, newest first", Type: ConsoleJson.Relaxed.QuarantinePage), NoJob],
            Serve = context => Replies.JsonAsync(context, Quarantine(context), ConsoleJson.Relaxed.QuarantinePage),
        },
        new("GET", "/api/jobs/{name}/outputs/{output}", Tag, "getOutput", "An output's present rows: open windows, or the newest rows")
        {
            Parameters = [Name, Output, Windows, Keys],
            Answers = [new(200, "the rows", Type: ConsoleJson.Relaxed.LiveOutput), Answer.Problem(404, "no such job or output")],
            Serve = OutputAsync,
        },
        new("POST", "/api/lint", Tag, "lint", "Check a pipeline file")
        {
            Body = new("the pipeline file", Yaml, null),
            Answers = [new(200, "what was found; ok without errors", Type: ConsoleJson.Relaxed.LintAnswer)],
            Serve = async context =>
            {
                var found = await services.Jobs.LintAsync(await Replies.ReadTextAsync(context), context.RequestAborted);
                await Replies.JsonAsync(context, new LintAnswer(!found.Any(d => d.Severity == "error"), found), ConsoleJson.Relaxed.LintAnswer);
            },
        },
        new("GET", "/api/pipeline.schema.json", Tag, "pipelineSchema", "JSON Schema of the pipeline file, for editors")
        {
            Answers = [new(200, "the schema", "application/schema+json")],
            Serve = context => Replies.TextAsync(context, services.Jobs.FileSchema, "application/schema+json"),
        },
    ];

    private JobEntry Find(HttpContext context)
    {
        var name = Name.Read(context);
        return services.Jobs.Find(name) ?? throw NotFound(name);
    }

    private ConsoleException NotFound(string name)
    {
        var names = services.Jobs.List().Select(j => j.Name).ToArray();
        return new ConsoleException(
            404, "No such job", $"no job is named '{name}'",
            names.Length == 0 ? "start one: ./millrace run FILE" : $"jobs here: {string.Join(", ", names.Take(10))}");
    }

    private async Task SubmitAsync(HttpContext context)
    {
        var dryRun = DryRun.Read(context);
        var answer = await services.Jobs.SubmitAsync(await Replies.ReadTextAsync(context), dryRun, context.RequestAborted);
        if (answer is { Accepted: true, Name: { } name })
        {
            if (!dryRun)
                context.Response.Headers.Location = $"/api/jobs/{Uri.EscapeDataString(name)}";
            await Replies.JsonAsync(
                context, new SubmitReply(name, dryRun, answer.Replaces, answer.Changes ?? [], answer.Diagnostics), ConsoleJson.Relaxed.SubmitReply, dryRun ? 200 : 201);
            return;
        }
        var errors = answer.Diagnostics.Count(d => d.Severity == "error");
        await Replies.ProblemAsync(context, new Problem
        {
            Type = Replies.TypeOf("Bad pipeline file"),
            Title = "Bad pipeline file",
            Status = 422,
            Detail = answer.Diagnostics is [var first, ..]
                ? $"{errors} error{(errors == 1 ? "" : "s")}; the first: line {first.Line}, column {first.Column}: {first.Message}"
                : "the file was not accepted",
            Hint = "check it with ./millrace lint FILE",
            Diagnostics = answer.Diagnostics,
        });
    }

    private async Task ChangeAsync(HttpContext context, Func<string, CancellationToken, Task> change)
    {
        var job = Find(context);
        await change(job.Name, context.RequestAborted);
        context.Response.StatusCode = 204;
    }

    private QuarantinePage Quarantine(HttpContext context)
    {
        var job = Find(context);
        if (job.Running is not { } running)
            return new QuarantinePage(0, [], []);
        var status = running.Status;
        var reasons = status.Sources.SelectMany(s => s.Reasons).GroupBy(r => r.Reason, StringComparer.Ordinal)
            .Select(g => new ReasonInfo(g.Key, g.Sum(r => r.Count))).OrderByDescending(r => r.Count).ToArray();
        var rows = running.NewestQuarantined((int)Limit.Read(context));
        return new QuarantinePage(
            status.Sources.Sum(s => s.Quarantined), reasons,
            [.. rows.Select(r => new QuarantinedInfo(
                r.Source, r.Topic, r.Partition, r.Offset, r.At, r.Reasons, Encoding.UTF8.GetString(r.Value)))]);
    }

    private async Task OutputAsync(HttpContext context)
    {
        var job = Find(context);
        var output = Output.Read(context);
        if (job.Running is not { } running)
            throw new ConsoleException(404, "No such output", $"job '{job.Name}' does not run", $"start it: ./millrace job restart {job.Name}");
        var buffer = new System.Buffers.ArrayBufferWriter<byte>(4096);
        await using (var writer = new Utf8JsonWriter(buffer, ConsoleJson.Writer))
        {
            if (_live.Write(writer, job, running, output, (int)Windows.Read(context), (int)Keys.Read(context), (int)Keys.Read(context)) is null)
            {
                throw new ConsoleException(
                    404, "No such output", $"job '{job.Name}' has no output '{output}'",
                    $"outputs: {string.Join(", ", job.Plan.Queries.Select(q => q.Name))}");
            }
        }
        if (buffer.WrittenCount > options.MaxSqlBytes)
            throw new ConsoleException(413, "Answer too large", $"the rows pass {options.MaxSqlBytes} bytes (MaxSqlBytes)", "ask for fewer windows or keys");
        context.Response.ContentType = "application/json; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        await context.Response.Body.WriteAsync(buffer.WrittenMemory, context.RequestAborted);
    }
}
