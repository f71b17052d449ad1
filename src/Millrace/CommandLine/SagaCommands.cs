using System.CommandLine;
using System.Text.Json.Nodes;
using Millrace.Coordination.Client;
using Millrace.Coordination.Sagas;
using Millrace.Host.Sagas;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace saga run|list|resume</c>: steps with compensations from a file, kept in the coordination store.</summary>
internal static class SagaCommands
{
    public static Command Create()
    {
        var saga = new Command("saga", "Long transactions: steps that are taken back when a later one fails");
        saga.Subcommands.Add(Run());
        saga.Subcommands.Add(List());
        saga.Subcommands.Add(Resume());
        return saga;
    }

    private static Command Run()
    {
        var file = new Argument<string>("FILE") { Description = "A saga's steps, or a pipeline file with sagas" };
        var saga = new Option<string?>("--saga") { Description = "Which saga of a pipeline file [default: its only one]", HelpName = "NAME" };
        var with = new Option<string[]>("--with") { Description = "What ${x} stands for in a pipeline file's saga, as x=value; may be repeated", HelpName = "X=VALUE" };
        var id = new Option<string?>("--id") { Description = "Names this run; one that is done is not done again [default: the saga's name]", HelpName = "ID" };
        var command = new Command("run", "Run a saga, or go on with one that was begun") { file, saga, with, id, ClusterManagement.Endpoints }.WithExamples(
            "./millrace saga run order.yaml --id order-4711", "./millrace saga run pipeline.yaml --saga fulfil --with order=4711 --id order-4711");
        ClusterManagement.AddTls(command);
        command.SetAction((parsed, cancellation) =>
        {
            var path = parsed.GetValue(file)!;
            if (!File.Exists(path))
                throw new CommandException($"there is no file {path}", null, ExitCode.Usage);
            var text = File.ReadAllText(path);
            if (PipelineSaga.IsPipeline(text))
                text = PipelineSaga.Definition(text, path, parsed.GetValue(saga), parsed.GetValue(with) ?? []);
            else if (parsed.GetValue(saga) is not null || parsed.GetValue(with) is { Length: > 0 })
                throw new CommandException($"{path} is one saga, not a pipeline file with sagas", "leave --saga and --with away", ExitCode.Usage);
            using var http = new HttpClient();
            var name = parsed.GetValue(id) ?? SagaFile.Parse(text, path, http, TimeProvider.System).Name;
            return FinishAsync(parsed, runner => RunAsync(runner, name, text, path, cancellation));
        });
        return command;
    }

    private static Command List()
    {
        var command = new Command("list", "Sagas that the store knows") { ClusterManagement.Endpoints }.WithExamples("./millrace saga list --json");
        ClusterManagement.AddTls(command);
        command.SetAction((parsed, cancellation) => FinishAsync(parsed, runner => runner.ListAsync(cancellation), tells: true));
        return command;
    }

    private static Command Resume()
    {
        var command = new Command("resume", "Go on with every saga that is neither done nor undone") { ClusterManagement.Endpoints }.WithExamples(
            "./millrace saga resume");
        ClusterManagement.AddTls(command);
        command.SetAction((parsed, cancellation) => FinishAsync(parsed, async runner =>
        {
            var resumed = new List<(string, SagaRecord)>();
            foreach (var (id, record) in await runner.ListAsync(cancellation))
            {
                if (record.State is SagaState.Running or SagaState.Undoing)
                    resumed.AddRange(await RunAsync(runner, id, record.Definition, id, cancellation));
            }
            return (IReadOnlyList<(string, SagaRecord)>)resumed;
        }));
        return command;
    }

    private static async Task<IReadOnlyList<(string Id, SagaRecord Record)>> RunAsync(
        SagaRunner runner, string id, string text, string path, CancellationToken cancellation)
    {
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(30) };
        return [(id, await runner.RunAsync(id, text, stored => SagaFile.Parse(stored, path, http, TimeProvider.System).Steps, cancellation))];
    }

    /// <param name="parsed">How it is asked.</param>
    /// <param name="act">Gives the sagas that are told of.</param>
    /// <param name="tells">It did nothing with them, so that none that is undone is its failure.</param>
    private static async Task<int> FinishAsync(ParseResult parsed, Func<SagaRunner, Task<IReadOnlyList<(string Id, SagaRecord Record)>>> act, bool tells = false)
    {
        using var store = new CoordinationClient(ClusterManagement.Addresses(parsed), tls: ClusterManagement.TlsOf(parsed));
        IReadOnlyList<(string Id, SagaRecord Record)> sagas;
        try
        {
            sagas = await act(new SagaRunner(store));
        }
        catch (CoordinationException error)
        {
            throw ClusterManagement.Refusal(error);
        }
        catch (SagaStepException stuck)
        {
            throw new CommandException("a step cannot be taken back: " + stuck.Message, "mend what it needs, then: ./millrace saga resume");
        }
        if (parsed.GetValue(MillraceCommand.Json))
        {
            Terminal.WriteJson(new JsonObject
            {
                ["sagas"] = new JsonArray([.. sagas.Select(s => new JsonObject
                {
                    ["id"] = s.Id, ["state"] = s.Record.State.ToString().ToLowerInvariant(), ["step"] = s.Record.Step, ["failure"] = s.Record.Failure,
                })]),
            });
        }
        else
        {
            Terminal.WriteTable(
                ["saga", "state", "failure"],
                sagas.Select(s => new[] { s.Id, s.Record.State.ToString().ToLowerInvariant(), s.Record.Failure ?? "" }), "no sagas");
        }
        // Who only looks is not refused what there is to see.
        return !tells && sagas.Any(s => s.Record.State is SagaState.Undone or SagaState.Undoing) ? ExitCode.Failure : ExitCode.Success;
    }
}
