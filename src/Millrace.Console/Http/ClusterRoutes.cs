using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Http;

internal sealed class ClusterRoutes(ConsoleServices services)
{
    public IReadOnlyList<Route> All() =>
    [
        new("GET", "/api/cluster", "cluster", "getCluster", "The coordination store: members, terms, log positions, round trips, elections")
        {
            Answers = [new(200, "the group as this process's member sees it", Type: ConsoleJson.Relaxed.ClusterInfo), Answer.Problem(404, "it is off")],
            Serve = async context =>
            {
                var cluster = services.Cluster ?? throw new ConsoleException(
                    404, "No coordination", "the coordination store does not run in this process", "take `coordination: off` out of millrace.yaml");
                await Replies.JsonAsync(context, await cluster.LookAsync(context.RequestAborted), ConsoleJson.Relaxed.ClusterInfo);
            },
        },
    ];
}
