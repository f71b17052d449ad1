using Microsoft.AspNetCore.Http;
using Millrace.WebConsole.Events;
using Millrace.WebConsole.History;
using Millrace.WebConsole.Metrics;
using Millrace.WebConsole.OpenApi;
using Millrace.WebConsole.Pages;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Http;

internal sealed class SystemRoutes(ConsoleServices services, EventHub hub, StatusHistory history, MetricsPage metrics, Func<IReadOnlyList<Route>> routes)
{
    private const string Tag = "platform";

    private static readonly TextParameter Kinds = new(
        "kinds", ParameterPlace.Query, "overview, output or both with a comma; both when absent", Required: false);

    private static readonly TextParameter Job = new("job", ParameterPlace.Query, "only this job's outputs", Required: false);
    private readonly Lazy<byte[]> _openApi = new(() => OpenApiDocument.Build(routes(), ProcessFacts.Version));
    private readonly Lazy<string> _reference = new(() => ReferencePage.Build(routes(), ProcessFacts.Version));

    public IReadOnlyList<Route> All() =>
    [
        new("GET", "/api/status", Tag, "getStatus", "Everything at a glance")
        {
            Answers = [new(200, "the process, its jobs and counts of the rest", Type: ConsoleJson.Relaxed.StatusInfo)],
            Serve = StatusAsync,
        },
        new("GET", "/api/history", Tag, "getHistory", "The last ten minutes, a sample a second")
        {
            Answers = [new(200, "rates, latency and lag by job", Type: ConsoleJson.Relaxed.HistoryInfo)],
            Serve = context => Replies.JsonAsync(context, history.Read(), ConsoleJson.Relaxed.HistoryInfo),
        },
        new("GET", "/api/events", Tag, "listenEvents", "Live changes as server-sent events")
        {
            Description = "Events `overview` (OverviewFrame) and `output` (OutputFrame), each at most ten times a second and only when something "
                + "changed; a comment every 15 s of silence. A client that reads too slowly is disconnected. Each frame tells the present state, so "
                + "nothing is lost by missing one.",
            Parameters = [Kinds, Job],
            Answers =
            [
                new(200, "a stream of events", "text/event-stream"), Answer.Problem(400, "an unknown kind"),
                Answer.Problem(503, "too many connections"),
            ],
            Serve = EventsAsync,
        },
        new("GET", "/metrics", Tag, "metrics", "Prometheus metrics")
        {
            Answers = [new(200, "text format 0.0.4", PrometheusWriter.ContentType)],
            Serve = metrics.ServeAsync,
        },
        new("GET", "/healthz", Tag, "health", "The process is alive")
        {
            Answers = [new(200, "alive", Type: ConsoleJson.Relaxed.Health)],
            Serve = context => Replies.JsonAsync(context, new Health("ok", null), ConsoleJson.Relaxed.Health),
        },
        new("GET", "/readyz", Tag, "ready", "The platform serves requests")
        {
            Answers =
            [
                new(200, "ready", Type: ConsoleJson.Relaxed.Health), new(503, "not ready, with the reason", Type: ConsoleJson.Relaxed.Health),
            ],
            Serve = context =>
            {
                var ready = services.Ready();
                return Replies.JsonAsync(
                    context, new Health(ready.Ready ? "ready" : "not ready", ready.Reason), ConsoleJson.Relaxed.Health, ready.Ready ? 200 : 503);
            },
        },
        new("GET", "/openapi.json", Tag, "openApi", "This API as OpenAPI 3.1")
        {
            Answers = [new(200, "the document")],
            Serve = context =>
            {
                context.Response.ContentType = "application/json; charset=utf-8";
                return context.Response.Body.WriteAsync(_openApi.Value, context.RequestAborted).AsTask();
            },
        },
        new("GET", "/api", Tag, "reference", "This API as a page")
        {
            Answers = [new(200, "the page", "text/html; charset=utf-8")],
            Serve = context => Replies.TextAsync(context, _reference.Value, "text/html; charset=utf-8"),
        },
    ];

    private async Task StatusAsync(HttpContext context)
    {
        var ready = services.Ready();
        var topics = services.Topics.List();
        var tables = await services.Tables.ListAsync(context.RequestAborted);
        await Replies.JsonAsync(
            context,
            new StatusInfo(
                services.Process.Look(), ready.Ready, ready.Reason, [.. services.Jobs.List().Select(JobInfos.Of)],
                topics.Count, topics.Sum(t => t.Bytes), tables.Count),
            ConsoleJson.Relaxed.StatusInfo);
    }

    private async Task EventsAsync(HttpContext context)
    {
        var kinds = (Kinds.ReadOptional(context) ?? "overview,output").Split(',', StringSplitOptions.TrimEntries);
        if (Array.Find(kinds, k => k is not ("overview" or "output")) is { } unknown)
            throw new ConsoleException(400, "Bad parameter", $"'{unknown}' is no kind of event", "kinds are overview and output");
        if (hub.Broken)
            throw new ConsoleException(503, "No events", "the event stream ended by a fault of its own, which the log shows", "restart Millrace, and report the fault");
        var lastEventId = context.Request.Headers["Last-Event-ID"].ToString();
        var connection = hub.TryJoin(kinds.Contains("overview"), kinds.Contains("output"), Job.ReadOptional(context), lastEventId)
            ?? throw new ConsoleException(503, "Too many listeners", "no more event connections are taken (MaxEventConnections)", "close some pages");
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, connection.Dropped);
        try
        {
            context.Response.ContentType = "text/event-stream";
            context.Response.Headers.CacheControl = "no-store";
            await foreach (var frame in connection.Frames.ReadAllAsync(ended.Token))
                await context.Response.Body.WriteAsync(frame, ended.Token);
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
            context.Abort();
        }
        finally
        {
            hub.Leave(connection);
            connection.Dispose();
        }
    }
}
