using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Millrace.Coordination.Client;
using Millrace.Coordination.Sessions;
using Millrace.Streams.Sql;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace session put|get|delete|status</c>: small data by quorums of reads and writes, beside the store's one order.</summary>
internal static class SessionCommands
{
    private static readonly Argument<string> SessionKey = new("KEY") { Description = "The session's key" };

    public static Command Create()
    {
        var session = new Command("session", "Session data on the group's members: written to W copies of N, read from R");
        session.Subcommands.Add(Put());
        session.Subcommands.Add(Get());
        session.Subcommands.Add(Delete());
        session.Subcommands.Add(Status());
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

    private static Command Status()
    {
        var command = new Command("status", "How sessions are set, and what each member did since it started") { ClusterManagement.Endpoints }.WithExamples(
            "./millrace session status", "./millrace session status --endpoints 10.0.0.1:2379,10.0.0.2:2379 --json");
        ClusterManagement.AddTls(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var (addresses, tls) = (ClusterManagement.Addresses(parsed), ClusterManagement.TlsOf(parsed));
            using var cluster = new ClusterClient(addresses, tls: tls);
            using var client = new SessionClient(addresses, TimeSpan.FromSeconds(3), tls: tls);
            var rows = new List<(ListedMember Member, SessionStatus? Status, string? Problem)>();
            IReadOnlyList<ListedMember> members;
            try
            {
                members = await cluster.MembersAsync(cancellation);
            }
            catch (CoordinationException error)
            {
                throw ClusterManagement.Refusal(error);
            }
            foreach (var member in members)
            {
                if (member.ClientUrls.Count == 0)
                {
                    rows.Add((member, null, "it has not said yet where it serves clients"));
                    continue;
                }
                try
                {
                    var status = await client.StatusAsync(new Uri(member.ClientUrls[0]), cancellation);
                    rows.Add((member, status, status.Failure));
                }
                catch (CoordinationException error)
                {
                    rows.Add((member, null, error.Message));
                }
            }
            if (parsed.GetValue(MillraceCommand.Json))
                Terminal.WriteJson(Json(rows));
            else
                Print(rows);
            return rows.All(static r => r.Problem is null) ? ExitCode.Success : ExitCode.Failure;
        });
        return command;
    }

    private static JsonObject Json(List<(ListedMember Member, SessionStatus? Status, string? Problem)> rows)
    {
        var quorum = rows.FirstOrDefault(static r => r.Status is not null).Status?.Quorum;
        return new JsonObject
        {
            ["copies"] = quorum?.Copies, ["write"] = quorum?.Write, ["read"] = quorum?.Read,
            ["members"] = new JsonArray([.. rows.Select(r => new JsonObject
            {
                ["name"] = NameOf(r.Member), ["up"] = r.Status is not null, ["puts"] = r.Status?.Puts, ["gets"] = r.Status?.Gets, ["repairs"] = r.Status?.Repairs,
                ["handoffs"] = r.Status?.Handoffs, ["written"] = r.Status?.Written, ["flushes"] = r.Status?.Flushes,
                ["hintsWaiting"] = new JsonObject(Waiting(r.Status, rows).Select(static w => KeyValuePair.Create(w.Name, (JsonNode?)w.Count))), ["problem"] = r.Problem,
            })]),
        };
    }

    private static void Print(List<(ListedMember Member, SessionStatus? Status, string? Problem)> rows)
    {
        if (rows.FirstOrDefault(static r => r.Status is not null).Status is { } any)
            Console.Out.WriteLine($"{any.Quorum.Copies} copies of each session; a write waits for {any.Quorum.Write}, a read for {any.Quorum.Read}");
        Terminal.WriteTable(
            ["member", "puts", "gets", "repairs", "handed over", "written", "flushes", "hints waiting", "problem"],
            rows.Select(r => new[]
            {
                NameOf(r.Member), Text(r.Status?.Puts), Text(r.Status?.Gets), Text(r.Status?.Repairs), Text(r.Status?.Handoffs), Text(r.Status?.Written), Text(r.Status?.Flushes),
                string.Join(' ', Waiting(r.Status, rows).Select(static w => string.Create(CultureInfo.InvariantCulture, $"{w.Name}: {w.Count}"))), r.Problem ?? "",
            }), "no members");
    }

    private static IEnumerable<(string Name, int Count)> Waiting(SessionStatus? status, List<(ListedMember Member, SessionStatus? Status, string? Problem)> rows) =>
        (status?.Hints ?? []).Select(h => (rows.FirstOrDefault(r => r.Member.Id == h.Member).Member is { } member ? NameOf(member) : IdOf(h.Member), h.Count));

    // A member has a name once it has run.
    private static string NameOf(ListedMember member) => member.Name.Length > 0 ? member.Name : IdOf(member.Id);

    private static string IdOf(ulong member) => member.ToString("x", CultureInfo.InvariantCulture);

    private static string Text(long? count) => count?.ToString(CultureInfo.InvariantCulture) ?? "";

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
