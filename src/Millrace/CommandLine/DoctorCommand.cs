using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Millrace.Host.Settings;
using Millrace.Storage.Native;
using Spectre.Console;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace doctor</c>: what this machine has, what is wrong, and what to do about it.</summary>
internal static class DoctorCommand
{
    private sealed record Finding(string Area, bool Good, string Text, string? Next = null);

    public static Command Create()
    {
        var command = new Command("doctor", "Say what is wrong: libraries, folder, ports, disk").WithExamples("./millrace doctor", "./millrace doctor --json");
        command.SetAction(async (parsed, cancellation) =>
        {
            var settings = parsed.Settings();
            using var client = parsed.Client();
            var up = await client.IsUpAsync(cancellation);
            var findings = new List<Finding>();
            foreach (var library in NativeLibraries.All)
                findings.Add(Library(library));
            findings.Add(Folder(settings));
            findings.Add(Disk(settings));
            foreach (var (name, listener) in new[] { ("Kafka", settings.Kafka), ("HTTP", settings.Http), ("PostgreSQL", settings.Postgres) })
                findings.Add(Port(name, listener, up));
            if (settings.Coordination is { Endpoints.Count: 0 } member)
                findings.Add(Port("etcd's API", member.Listener, up));
            findings.Add(new Finding("platform", true, up ? "running" : "not running", up ? null : "start it with: ./millrace up"));
            return Report(parsed, findings);
        });
        return command;
    }

    private static int Report(ParseResult parsed, List<Finding> findings)
    {
        var good = findings.TrueForAll(f => f.Good);
        if (parsed.GetValue(MillraceCommand.Json))
        {
            Terminal.WriteJson(new JsonObject
            {
                ["good"] = good,
                ["findings"] = new JsonArray([.. findings.Select(f => new JsonObject
                {
                    ["area"] = f.Area, ["good"] = f.Good, ["text"] = f.Text, ["next"] = f.Next,
                })]),
            });
            return good ? ExitCode.Success : ExitCode.Failure;
        }
        foreach (var finding in findings)
        {
            if (Console.IsOutputRedirected)
            {
                Console.Out.WriteLine($"{(finding.Good ? "ok " : "BAD")}\t{finding.Area}\t{finding.Text}{(finding.Next is null ? "" : "\t" + finding.Next)}");
                continue;
            }
            AnsiConsole.MarkupLine(
                $"{(finding.Good ? "[green]ok  [/]" : "[red]BAD [/]")} {Markup.Escape(finding.Area),-12} {Markup.Escape(finding.Text)}");
            if (finding.Next is not null)
                AnsiConsole.MarkupLine($"                  [grey]{Markup.Escape(finding.Next)}[/]");
        }
        return good ? ExitCode.Success : ExitCode.Failure;
    }

    private static Finding Library(NativeLibrarySource library)
    {
        try
        {
            NativeLibraries.Load(library);
            return new Finding(library.Name, true, NativeLibraries.Find(library) ?? "loaded by the system's own search");
        }
        catch (DllNotFoundException)
        {
            return new Finding(library.Name, false, "no usable library", $"{library.Advice}, or point {library.Variable} at the file");
        }
    }

    private static Finding Folder(PlatformSettings settings)
    {
        try
        {
            Directory.CreateDirectory(settings.Data);
            var probe = Path.Combine(settings.Data, ".doctor");
            File.WriteAllText(probe, "");
            File.Delete(probe);
            return new Finding("data", true, settings.Data + " can be written");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return new Finding("data", false, $"{settings.Data}: {error.Message}", "give this user the folder, or choose another with data: in millrace.yaml or --data");
        }
    }

    private static Finding Disk(PlatformSettings settings)
    {
        const long least = 2L << 30;
        if (!Directory.Exists(settings.Data))
            return new Finding("disk", false, "unknown: there is no data folder");
        var free = new DriveInfo(settings.Data).AvailableFreeSpace;
        return new Finding(
            "disk", free > least, $"{free >> 20} MiB free", free > least ? null : "under 2 GiB: the log stops acknowledging when the disk is full; make room");
    }

    private static Finding Port(string name, ListenerSettings listener, bool up)
    {
        using var socket = new Socket(listener.Address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(listener.Address, listener.Port));
            return new Finding(name, true, $"port {listener.Port} is free");
        }
        catch (SocketException) when (up)
        {
            return new Finding(name, true, $"port {listener.Port} is in use by the running platform");
        }
        catch (SocketException error)
        {
            return new Finding(
                name, false, $"port {listener.Port}: {error.Message}",
                $"stop what uses it (ss -ltnp 'sport = :{listener.Port}'), or choose another port in millrace.yaml");
        }
    }
}
