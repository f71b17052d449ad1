using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Millrace.Host.Settings;
using Millrace.Kafka.Clients;
using Millrace.Pipelines.Files;
using Millrace.Pipelines.Generation;
using Millrace.Pipelines.Graph;
using Millrace.Pipelines.Linting;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace run|lint|plan|gen</c>: what is done with a pipeline file.</summary>
internal static class PipelineCommands
{
    public static IEnumerable<Command> All() => [Run(), Lint(), Plan(), Generate()];

    private static Command Run()
    {
        var file = FileArgument();
        var dry = new Option<bool>("--dry-run") { Description = "Show what would change on the running platform; start nothing" };
        var command = new Command("run", "Start a pipeline on the running platform, or change the one of that name") { file, dry }.WithExamples(
            "./millrace run examples/orders_by_country.yaml", "./millrace run orders.yaml --dry-run");
        command.SetAction(async (parsed, cancellation) =>
        {
            var (path, yaml) = Read(parsed.GetValue(file)!);
            using var client = parsed.Client();
            JsonNode answer;
            try
            {
                answer = await client.PostYamlAsync($"/api/jobs?dryRun={(parsed.GetValue(dry) ? "true" : "false")}", yaml, cancellation);
            }
            catch (RefusedException refused)
            {
                throw new RefusedException(refused.Diagnostics, Render(refused.Diagnostics, path, yaml));
            }
            if (!parsed.GetValue(MillraceCommand.Json) && Rows(answer["diagnostics"]).Any())
                Console.Error.WriteLine(Render(answer["diagnostics"]!.AsArray(), path, yaml));
            var name = Text(answer["name"]);
            Done(parsed, parsed.GetValue(dry) ? Would(answer, name, path) : $"job {name} runs; look at it with: ./millrace job show {name}", answer);
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>What a dry run found: the changes one a line, then what to run.</summary>
    private static string Would(JsonNode answer, string name, string path)
    {
        var changes = Rows(answer["changes"]).Select(c => $"  {Text(c["part"])}: {Text(c["text"])}").ToList();
        var head = answer["replaces"]?.GetValue<bool>() != true ? $"{name} would be started as a new job"
            : changes.Count == 0 ? $"{name} is there already; nothing would change"
            : $"{name} would be changed:";
        return string.Join('\n', [head, .. changes, $"nothing was done; do it with: ./millrace run {path}"]);
    }

    private static Command Lint()
    {
        var file = FileArgument();
        var command = new Command("lint", "Say what is wrong with a pipeline file: place, caret, hint, what to run next") { file }
            .WithExamples("./millrace lint orders.yaml", "./millrace lint orders.yaml --json");
        command.SetAction(parsed =>
        {
            var (path, yaml) = Read(parsed.GetValue(file)!);
            var result = Linter.Lint(yaml, path, Context(parsed));
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(new JsonObject
                {
                    ["ok"] = !result.HasErrors, ["diagnostics"] = JsonSerializer.SerializeToNode(result.Diagnostics, Terminal.Json),
                });
            }
            else if (result.Diagnostics.Count > 0)
            {
                Console.Error.WriteLine(DiagnosticText.Render(result.Diagnostics, yaml));
            }
            if (result.HasErrors)
                return ExitCode.Usage;
            if (!parsed.GetValue(MillraceCommand.Json))
                Console.Out.WriteLine($"{path} is right; start it with: ./millrace run {path}");
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Plan()
    {
        var file = FileArgument();
        var command = new Command("plan", "Show a pipeline as a graph: its steps, where each runs, and what it does now") { file }
            .WithExamples("./millrace plan examples/orders_by_country.yaml");
        command.SetAction(async (parsed, cancellation) =>
        {
            var (path, yaml) = Read(parsed.GetValue(file)!);
            var result = Linter.Lint(yaml, path, Context(parsed));
            if (result.Plan is not { } plan)
            {
                Console.Error.WriteLine(DiagnosticText.Render(result.Diagnostics, yaml));
                return ExitCode.Usage;
            }
            var graph = PlanGraph.Of(plan);
            using var client = parsed.Client();
            if (await client.IsUpAsync(cancellation))
                graph = await WithStatesAsync(graph, client, cancellation);
            Console.Out.WriteLine(parsed.GetValue(MillraceCommand.Json) ? graph.ToJson() : graph.ToText());
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Generate()
    {
        var topic = new Argument<string?>("TOPIC") { Description = "The topic to look at", Arity = ArgumentArity.ZeroOrOne };
        var schema = new Option<bool>("--schema") { Description = "Print the JSON Schema of pipeline files instead, for editors" };
        var most = new Option<int>("--sample") { Description = "Records to look at", DefaultValueFactory = _ => 1000 };
        var command = new Command("gen", "Write a pipeline file from a topic's records") { topic, schema, most }.WithExamples(
            "./millrace gen orders > orders.yaml", "./millrace gen --schema > millrace-pipeline.schema.json");
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(schema))
            {
                Console.Out.WriteLine(PipelineSchema.Json);
                return ExitCode.Success;
            }
            if (parsed.GetValue(topic) is not { } name)
                throw new CommandException("name a topic", "see: ./millrace topic list", ExitCode.Usage);
            var records = Sample(parsed.Settings(), name, parsed.GetValue(most));
            if (records.Count == 0)
                throw new CommandException($"topic '{name}' has no records to look at", $"send some: ./millrace topic produce {name}", ExitCode.Failure);
            var yaml = PipelineGenerator.Generate(name, records);
            if (parsed.GetValue(MillraceCommand.Json))
                Terminal.WriteJson(new JsonObject { ["topic"] = name, ["records"] = records.Count, ["file"] = yaml });
            else
                Console.Out.Write(yaml);
            return ExitCode.Success;
        });
        return command;
    }

    private static Argument<string> FileArgument() => new("FILE") { Description = "A pipeline file" };

    private static (string Path, string Yaml) Read(string path)
    {
        if (!File.Exists(path))
            throw new CommandException($"there is no file '{path}'", "an example: examples/orders_by_country.yaml", ExitCode.Usage);
        return (path, File.ReadAllText(path));
    }

    /// <summary>Columns that a file does not declare come from its topic, where a broker answers.</summary>
    private static LintContext Context(ParseResult parsed)
    {
        var settings = parsed.Settings();
        return Platform.LintWorld.Of(settings) with
        {
            Registry = SchemaCommands.Address(parsed),
            Subjects = address => Platform.LintWorld.Subject(address, address.Registry == SchemaCommands.Address(parsed) ? SchemaCommands.LoginOf(parsed) : null),
            Sampler = address =>
            {
                try
                {
                    return Platform.LintWorld.Sample(address, TimeProvider.System, settings.Client, 1000);
                }
                catch (KafkaClientException problem)
                {
                    // Without a broker the rest of the file is still checked; a topic that is not there is a fault.
                    return new TopicSample([], problem.Message, Unreachable: problem.Error != (int)Confluent.Kafka.ErrorCode.UnknownTopicOrPart);
                }
            },
        };
    }

    private static IReadOnlyList<byte[]> Sample(PlatformSettings settings, string topic, int most)
    {
        try
        {
            return Platform.LintWorld.Sample(new TopicAddress(settings.BrokersOrOwn, topic), TimeProvider.System, settings.Client, most).Records;
        }
        catch (KafkaClientException failure)
        {
            throw new CommandException(failure.Message, "start the platform with: ./millrace up; see: ./millrace topic list", ExitCode.Unreachable);
        }
    }

    private static string Render(JsonArray diagnostics, string path, string yaml) => DiagnosticText.Render(
        diagnostics.Select(d => new Diagnostic(
            path, d!["line"]!.GetValue<int>(), d["column"]!.GetValue<int>(), d["length"]!.GetValue<int>(),
            Text(d["severity"]) == "error" ? Severity.Error : Severity.Warning, Text(d["code"]), Text(d["message"]),
            d["hint"]?.GetValue<string>(), d["next"]?.GetValue<string>())),
        yaml);

    /// <summary>Adds what the running job of that name says of its parts.</summary>
    private static async Task<PlanGraph> WithStatesAsync(PlanGraph graph, PlatformClient client, CancellationToken cancellation)
    {
        try
        {
            var running = await client.GetAsync($"/api/jobs/{Uri.EscapeDataString(graph.Name)}", cancellation);
            var states = Rows(running["plan"]?["nodes"]).ToDictionary(n => Text(n["id"]), n => n["state"]?.GetValue<string>());
            return graph with
            {
                State = Text(running["job"]?["state"]),
                Nodes = graph.Nodes.Select(n => states.GetValueOrDefault(n.Id) is { } state ? n with { State = state } : n).ToArray(),
            };
        }
        catch (CommandException none) when (none.Code == ExitCode.Usage)
        {
            return graph;
        }
    }
}
