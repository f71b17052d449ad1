using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Millrace.Host.Platform;
using Millrace.Host.Settings;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace up</c> and <c>millrace demo</c>: the commands that run the platform in this process.</summary>
internal static class UpCommands
{
    public static IEnumerable<Command> All() => [Up(), DemoCommand.Create()];

    /// <summary>The data folder, as an option of commands that have one.</summary>
    public static Option<string?> DataOption() => new("--data") { Description = "The data folder [default: ~/.millrace]", HelpName = "DIR" };

    private static Command Up()
    {
        var data = DataOption();
        var command = new Command("up", "Start the platform: Kafka 9092, HTTP 8080, PostgreSQL 5433, etcd's API 2379, on loopback") { data }.WithExamples(
            "./millrace up", "./millrace up --data /srv/millrace", "./millrace up --config millrace.yaml");
        command.SetAction(async (parsed, cancellation) =>
        {
            var settings = parsed.Settings();
            if (parsed.GetValue(data) is { } folder)
                settings = settings with { Data = Path.GetFullPath(folder) };
            using var logs = PlatformLogs.Create(quiet: false);
            await using var platform = await StartAsync(settings, logs, cancellation);
            if (parsed.GetValue(MillraceCommand.Json))
                Terminal.WriteJson(Describe(platform, settings));
            else
                Print(platform, settings);
            await UntilStoppedAsync(cancellation);
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>Starts the platform; what stands in its way becomes a message with a next step.</summary>
    public static async Task<MillracePlatform> StartAsync(
        PlatformSettings settings, Microsoft.Extensions.Logging.ILoggerFactory logs, CancellationToken cancellation)
    {
        try
        {
            return await MillracePlatform.StartAsync(settings, logs, TimeProvider.System, cancellation);
        }
        catch (PortInUseException busy)
        {
            var off = settings.Coordination?.Listener.Port == busy.Port ? ", or leave the store away with coordination: off" : "";
            throw new CommandException(
                busy.Message, $"stop what uses it (ss -ltnp 'sport = :{busy.Port}'), or choose another port in millrace.yaml{off}; see: ./millrace doctor");
        }
        catch (UnauthorizedAccessException denied)
        {
            throw new CommandException(denied.Message, "give this user the folder, or choose another with --data");
        }
    }

    /// <summary>Returns at Ctrl-C or SIGTERM.</summary>
    public static async Task UntilStoppedAsync(CancellationToken cancellation)
    {
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        await using var cancelled = cancellation.Register(() => stopped.TrySetResult());
        await stopped.Task;

        void Stop(PosixSignalContext context)
        {
            // Without this the process would end before its last checkpoints.
            context.Cancel = true;
            stopped.TrySetResult();
        }
    }

    private static JsonObject Describe(MillracePlatform platform, PlatformSettings settings) => new()
    {
        ["console"] = platform.Console.ToString(), ["kafka"] = platform.Kafka, ["postgres"] = platform.Postgres,
        ["etcd"] = platform.Coordination, ["data"] = settings.Data,
        ["pid"] = Environment.ProcessId,
    };

    private static void Print(MillracePlatform platform, PlatformSettings settings)
    {
        Console.Out.WriteLine($"""
            Millrace is up.
              console    {platform.Console}
              kafka      {platform.Kafka}    kcat -b {platform.Kafka} -L
              postgres   {platform.Postgres}    psql -h {platform.Postgres.Split(':')[0]} -p {platform.Postgres.Split(':')[1]} -U millrace
              etcd       {(platform.Coordination is { } etcd ? $"{etcd}    etcdctl --endpoints={etcd} endpoint status" : "off")}
              data       {settings.Data}
            Stop with Ctrl-C.
            """);
    }
}
