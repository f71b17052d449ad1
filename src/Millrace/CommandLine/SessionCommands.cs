using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Millrace.Coordination.Client;
using Millrace.Streams.Sql;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace session put|get|delete</c>: small data by quorums of reads and writes, beside the store's one order.</summary>
internal static class SessionCommands
{
    private static readonly Argument<string> SessionKey = new("KEY") { Description = "The session's key" };

    public static Command Create()
    {
        var session = new Command("session", "Session data on the group's members: written to W copies of N, read from R");
        session.Subcommands.Add(Put());
        session.Subcommands.Add(Get());
        session.Subcommands.Add(Delete());
        return session;
    }

    private static Option<int?> Copies(string name, string what) => new(name) { Description = $"Copies that {what} waits for [default: as the group is set]", HelpName = "COUNT" };

    private static Command Put()
    {
        var value = new Argument<string>("VALUE") { Description = "What is kept" };
        var ttl = new Option<string?>("--ttl") { Description = "Gone after this time [default: never]", HelpName = "TIME" };
        var write = Copies("--write", "the write");
        var command = new Command("put", "Keep a session") { SessionKey, value, ttl, write, ClusterManagement.Endpoints }.WithExamples(
            "./millrace session put user-17 '{\"cart\": [4711]}' --ttl 30m");
        ClusterManagement.AddTls(command);
        command.SetAction((parsed, cancellation) => AskAsync(parsed, async client =>
        {
            TimeSpan? lifetime = parsed.GetValue(ttl) is not { } text ? null
                : DurationText.TryParse(text, out var span, out var problem) ? span : throw new CommandException(problem, DurationText.Hint, ExitCode.Usage);
            var copies = await client.PutAsync(parsed.GetValue(SessionKey)!, Encoding.UTF8.GetBytes(parsed.GetValue(value)!), lifetime, parsed.GetValue(write), cancellation);
            return Written(parsed, copies);
        }));
        return command;
    }

    private static Command Delete()
    {
        var write = Copies("--write", "the deletion");
        var command = new Command("delete", "Delete a session") { SessionKey, write, ClusterManagement.Endpoints }.WithExamples("./millrace session delete user-17");
        ClusterManagement.AddTls(command);
        command.SetAction((parsed, cancellation) => AskAsync(parsed, async client =>
            Written(parsed, await client.PutAsync(parsed.GetValue(SessionKey)!, null, null, parsed.GetValue(write), cancellation))));
        return command;
    }

    private static Command Get()
    {
        var read = Copies("--read", "the read");
        var command = new Command("get", "Show a session") { SessionKey, read, ClusterManagement.Endpoints }.WithExamples("./millrace session get user-17 --read 1");
        ClusterManagement.AddTls(command);
        command.SetAction((parsed, cancellation) => AskAsync(parsed, async client =>
        {
            if (await client.GetAsync(parsed.GetValue(SessionKey)!, parsed.GetValue(read), cancellation) is not { } found)
                throw new CommandException($"there is no session '{parsed.GetValue(SessionKey)}'");
            var text = Encoding.UTF8.GetString(found.Value.Span);
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(new JsonObject
                {
                    ["key"] = parsed.GetValue(SessionKey), ["value"] = text, ["writtenAt"] = found.WrittenAt.ToString("o", CultureInfo.InvariantCulture),
                    ["expiresAt"] = found.ExpiresAt?.ToString("o", CultureInfo.InvariantCulture), ["copies"] = found.Answers,
                });
            }
            else
            {
                Console.Out.WriteLine(text);
            }
            return ExitCode.Success;
        }));
        return command;
    }

    private static int Written(ParseResult parsed, int copies)
    {
        if (parsed.GetValue(MillraceCommand.Json))
            Terminal.WriteJson(new JsonObject { ["key"] = parsed.GetValue(SessionKey), ["copies"] = copies });
        else
            Console.Out.WriteLine($"{parsed.GetValue(SessionKey)} written to {copies} copies");
        return ExitCode.Success;
    }

    private static async Task<int> AskAsync(ParseResult parsed, Func<SessionClient, Task<int>> ask)
    {
        using var client = new SessionClient(ClusterManagement.Addresses(parsed), tls: ClusterManagement.TlsOf(parsed));
        try
        {
            return await ask(client);
        }
        catch (CoordinationException error)
        {
            throw ClusterManagement.Refusal(error);
        }
    }
}
