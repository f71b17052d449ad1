using System.CommandLine;
using System.CommandLine.Help;
using System.Runtime.CompilerServices;
using Millrace.Host.Settings;

namespace Millrace.Host.CommandLine;

/// <summary>The root of the command line: global options, the commands, and how failures are told.</summary>
internal static class MillraceCommand
{
    private static readonly ConditionalWeakTable<Command, string[]> Examples = [];

    public static readonly Option<bool> Json = new("--json") { Description = "Print JSON instead of text", Recursive = true };

    public static readonly Option<string?> Config = new("--config")
    {
        Description = "The settings file [default: ./millrace.yaml, then ~/.millrace/millrace.yaml]", HelpName = "FILE", Recursive = true,
    };

    public static readonly Option<string?> Server = new("--server")
    {
        Description = "HTTP address of a running platform [default: from the settings; MILLRACE_SERVER]", HelpName = "URL", Recursive = true,
    };

    public static readonly Option<string?> Brokers = new("--brokers")
    {
        Description = "Kafka brokers, host:port,... [default: the embedded log]", HelpName = "LIST", Recursive = true,
    };

    public static RootCommand Create()
    {
        var root = new RootCommand("Millrace: a data platform in one program. Start with: ./millrace demo");
        // One help for all commands, with the names that people know.
        root.Options.Remove(root.Options.OfType<HelpOption>().Single());
        var help = new HelpOption("--help", "-h") { Recursive = true, Description = "Show help" };
        help.Action = new ExamplesHelp((HelpAction)help.Action!);
        root.Options.Add(help);
        root.Options.Add(Json);
        root.Options.Add(Config);
        root.Options.Add(Server);
        root.Options.Add(Brokers);
        foreach (var command in UpCommands.All())
            root.Subcommands.Add(command);
        foreach (var command in PipelineCommands.All())
            root.Subcommands.Add(command);
        root.Subcommands.Add(JobCommands.Create());
        root.Subcommands.Add(TopicCommands.Create());
        root.Subcommands.Add(SchemaCommands.Create());
        root.Subcommands.Add(UserCommands.Create());
        root.Subcommands.Add(TableCommands.Create());
        root.Subcommands.Add(SqlCommand.Create());
        root.Subcommands.Add(TopCommand.Create());
        root.Subcommands.Add(ReplayCommand.Create());
        root.Subcommands.Add(ClusterCommands.Create());
        root.Subcommands.Add(LockCommand.Create());
        root.Subcommands.Add(SagaCommands.Create());
        root.Subcommands.Add(TransactionCommands.Create());
        root.Subcommands.Add(SessionCommands.Create());
        root.Subcommands.Add(DoctorCommand.Create());
        root.Subcommands.Add(CompletionCommand.Create());
        // The entry script takes these before the host runs; they stand here for help and completion.
        root.Subcommands.Add(new Command("test", "Run the tests: ./millrace test [--fast] [--interop NAME] [--simulation NAME] [--seed N]"));
        root.Subcommands.Add(new Command("bench", "Run a benchmark: ./millrace bench list | NAME [--quick] [--json] [--part PART]"));
        root.Subcommands.Add(new Command("setup", "Install what is missing on this machine: ./millrace setup [test] [--check]"));
        return root;
    }

    public static async Task<int> RunAsync(string[] args)
    {
        var parsed = Create().Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var error in parsed.Errors)
                Terminal.Fail(error.Message, null);
            Console.Error.WriteLine($"see: millrace {CommandPath(parsed)} --help".Replace("  ", " "));
            return ExitCode.Usage;
        }
        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (RefusedException refused)
        {
            if (parsed.GetValue(Json))
                Terminal.WriteJson(new System.Text.Json.Nodes.JsonObject { ["diagnostics"] = refused.Diagnostics.DeepClone() });
            else
                Console.Error.WriteLine(refused.Rendered ?? refused.Message);
            return ExitCode.Usage;
        }
        catch (CommandException failure)
        {
            Terminal.Fail(failure.Message, failure.Hint);
            return failure.Code;
        }
        catch (SettingsException failure)
        {
            Console.Error.WriteLine(failure.Message);
            return ExitCode.Usage;
        }
        catch (OperationCanceledException)
        {
            return 130;
        }
        catch (Exception failure) when (failure is IOException or InvalidDataException or UnauthorizedAccessException or DllNotFoundException)
        {
            Terminal.Fail(failure.Message, null);
            return ExitCode.Failure;
        }
    }

    /// <summary>Settings as this command line chose them.</summary>
    public static PlatformSettings Settings(this ParseResult parsed)
    {
        var settings = SettingsFile.Load(parsed.GetValue(Config));
        return parsed.GetValue(Brokers) is { } brokers ? settings with { Brokers = brokers } : settings;
    }

    /// <summary>A client of the running platform.</summary>
    public static PlatformClient Client(this ParseResult parsed)
    {
        var address = parsed.GetValue(Server) ?? Environment.GetEnvironmentVariable("MILLRACE_SERVER") ?? parsed.Settings().HttpAddress.ToString();
        if (!Uri.TryCreate(address.Contains("://", StringComparison.Ordinal) ? address : "http://" + address, UriKind.Absolute, out var server))
            throw new CommandException($"'{address}' is no address", "write it as http://127.0.0.1:8080", ExitCode.Usage);
        return new PlatformClient(server, parsed.Settings().Client);
    }

    /// <summary>Adds examples to a command's help.</summary>
    public static T WithExamples<T>(this T command, params string[] examples)
        where T : Command
    {
        Examples.AddOrUpdate(command, examples);
        return command;
    }

    /// <summary>The examples that <see cref="WithExamples"/> gave a command.</summary>
    public static IReadOnlyList<string> ExamplesOf(Command command) =>
        Examples.TryGetValue(command, out var examples) ? examples : [];

    private static string CommandPath(ParseResult parsed)
    {
        var names = new List<string>();
        for (var result = parsed.CommandResult; result.Parent is System.CommandLine.Parsing.CommandResult parent; result = parent)
            names.Insert(0, result.Command.Name);
        return string.Join(' ', names);
    }

    private sealed class ExamplesHelp(HelpAction inner) : System.CommandLine.Invocation.SynchronousCommandLineAction
    {
        // Who asks for help need not have given the arguments yet.
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            var code = inner.Invoke(parseResult);
            var examples = ExamplesOf(parseResult.CommandResult.Command);
            if (examples.Count == 0)
                return code;
            var output = parseResult.InvocationConfiguration.Output;
            output.WriteLine("Examples:");
            foreach (var example in examples)
                output.WriteLine("  " + example);
            output.WriteLine();
            return code;
        }
    }
}
