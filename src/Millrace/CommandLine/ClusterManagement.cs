using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Millrace.Coordination.Client;
using Millrace.Raft.Transport;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary>
/// <c>millrace cluster status|add|promote|remove|transfer|snapshot</c>: the management of a running group over etcd's API, so that it works
/// with etcd as well.
/// </summary>
internal static class ClusterManagement
{
    public static readonly Option<string?> Endpoints = new("--endpoints")
    {
        Description = "Client addresses of members, host:port,... [default: from the settings]", HelpName = "LIST",
    };

    private static readonly Option<string?> CaCert = new("--cacert") { Description = "Roots that the members' certificates come from; they are spoken to by TLS", HelpName = "FILE" };

    private static readonly Option<string?> Cert = new("--cert") { Description = "This client's certificate", HelpName = "FILE" };

    private static readonly Option<string?> Key = new("--key") { Description = "Its key", HelpName = "FILE" };

    public static IEnumerable<Command> All() => [Status(), Add(), Promote(), Remove(), Transfer(), Snapshot()];

    private static Command Status()
    {
        var command = new Command("status", "Members, terms and log positions") { Endpoints }.WithExamples(
            "./millrace cluster status", "./millrace cluster status --endpoints 10.0.0.1:2379,10.0.0.2:2379 --json");
        return Asking(command, async (parsed, client, cancellation) =>
        {
            var reports = await ReportsAsync(client, cancellation);
            if (parsed.GetValue(MillraceCommand.Json))
                Terminal.WriteJson(new JsonObject { ["members"] = new JsonArray([.. reports.Select(Json)]) });
            else
                Print(reports);
            // A script sees at once whether somebody is missing.
            return reports.All(r => r.Report is { Errors.Count: 0 }) ? ExitCode.Success : ExitCode.Failure;
        });
    }

    private static Command Add()
    {
        var url = new Argument<string>("PEER") { Description = "Where the others will reach it: host:port or http://host:port" };
        var learner = new Option<bool>("--learner") { Description = "It learns first and counts once it is promoted" };
        var command = new Command("add", "Tell the group of a member that will start with --join") { url, learner, Endpoints }.WithExamples(
            "./millrace cluster add 10.0.0.4:2380 --learner");
        return Asking(command, async (parsed, client, cancellation) =>
        {
            var text = parsed.GetValue(url)!;
            var added = await client.AddAsync(
                text.Contains("://", StringComparison.Ordinal) ? text : "http://" + text, parsed.GetValue(learner), cancellation);
            return Say(parsed, $"member {added.Id:x} was added; start it with: ./millrace cluster start --join --name NAME --members ...", ("id", added.Id.ToString("x")));
        });
    }

    private static Command Promote()
    {
        var member = MemberArgument();
        var command = new Command("promote", "Let a learner that has caught up vote") { member, Endpoints }.WithExamples("./millrace cluster promote d");
        return Asking(command, async (parsed, client, cancellation) =>
        {
            var found = await FindAsync(client, parsed.GetValue(member)!, cancellation);
            await client.PromoteAsync(found.Id, cancellation);
            return Say(parsed, $"member {found.Id:x} votes now", ("id", found.Id.ToString("x")));
        });
    }

    private static Command Remove()
    {
        var member = MemberArgument();
        var command = new Command("remove", "Take a member out of the group; its folder is of no use after") { member, Endpoints }.WithExamples(
            "./millrace cluster remove d", "./millrace cluster remove 8e9e05c52164694d");
        return Asking(command, async (parsed, client, cancellation) =>
        {
            var found = await FindAsync(client, parsed.GetValue(member)!, cancellation);
            await client.RemoveAsync(found.Id, cancellation);
            return Say(parsed, $"member {found.Id:x} was removed", ("id", found.Id.ToString("x")));
        });
    }

    private static Command Transfer()
    {
        var member = MemberArgument();
        var command = new Command("transfer", "Hand leadership over, once the other has the whole log") { member, Endpoints }.WithExamples("./millrace cluster transfer b");
        return Asking(command, async (parsed, client, cancellation) =>
        {
            var found = await FindAsync(client, parsed.GetValue(member)!, cancellation);
            var reports = await ReportsAsync(client, cancellation);
            var leader = reports.FirstOrDefault(r => r.Report is { } report && report.Leader == report.MemberId);
            if (leader.Endpoint is null)
                throw new CommandException("no member says that it leads", "see: ./millrace cluster status");
            await client.MoveLeaderAsync(leader.Endpoint, found.Id, cancellation);
            return Say(parsed, $"member {found.Id:x} leads now", ("leader", found.Id.ToString("x")));
        });
    }

    private static Command Snapshot()
    {
        var file = new Argument<string>("FILE") { Description = "To be written; it appears whole or not at all" };
        var command = new Command("snapshot", "Save the whole state in a file, for cluster restore or etcd's own tools") { file, Endpoints }.WithExamples(
            "./millrace cluster snapshot state.snapshot");
        return Asking(command, async (parsed, client, cancellation) =>
        {
            var path = Path.GetFullPath(parsed.GetValue(file)!);
            var temporary = path + ".part";
            long bytes;
            await using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write))
            {
                bytes = await client.SnapshotAsync(stream, cancellation);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
            return Say(parsed, $"{path}: {Bytes((double)bytes)}", ("file", path), ("bytes", bytes));
        });
    }

    private static Command Asking(Command command, Func<ParseResult, ClusterClient, CancellationToken, Task<int>> act)
    {
        AddTls(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = new ClusterClient(Addresses(parsed), tls: TlsOf(parsed));
            try
            {
                return await act(parsed, client, cancellation);
            }
            catch (CoordinationException error)
            {
                throw error.InnerException is null
                    ? new CommandException(error.Message)
                    : new CommandException(error.Message, "start one with ./millrace up or ./millrace cluster start, or name others with --endpoints", ExitCode.Unreachable);
            }
        });
        return command;
    }

    /// <summary>Gives a command the options of clients that speak TLS.</summary>
    public static void AddTls(Command command)
    {
        foreach (var option in new[] { CaCert, Cert, Key })
            command.Options.Add(option);
    }

    /// <summary>By the options, else by the settings.</summary>
    public static TlsFiles? TlsOf(ParseResult parsed)
    {
        var (ca, certificate, key) = (parsed.GetValue(CaCert), parsed.GetValue(Cert), parsed.GetValue(Key));
        if (ca is not null || certificate is not null)
            return new TlsFiles { Ca = ca, Certificate = certificate, Key = key };
        var settings = parsed.Settings().Coordination;
        // A server's own certificate proves it to itself where no ca is given.
        return settings?.Tls is { } tls ? tls with { Ca = tls.Ca ?? (settings.Endpoints.Count == 0 ? tls.Certificate : null), RequireClientCertificate = false } : null;
    }

    /// <summary>What a command on the store says when the store did not do as it was asked.</summary>
    public static CommandException Refusal(CoordinationException error) => new(
        error.Message, "start a store with ./millrace up, or name another with --endpoints", error.InnerException is null ? ExitCode.Failure : ExitCode.Unreachable);

    public static Uri[] Addresses(ParseResult parsed)
    {
        if (parsed.GetValue(Endpoints) is not { } list)
            return [.. parsed.Settings().Coordination?.Addresses ?? [new Uri("http://127.0.0.1:2379")]];
        var scheme = TlsOf(parsed) is null ? "http://" : "https://";
        return list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(text =>
            Uri.TryCreate(text.Contains("://", StringComparison.Ordinal) ? text : scheme + text, UriKind.Absolute, out var address)
                ? address
                : throw new CommandException($"'{text}' is no address", "write it as 127.0.0.1:2379", ExitCode.Usage)).ToArray();
    }

    private static Argument<string> MemberArgument() => new("MEMBER") { Description = "Its name, or its id in hex" };

    private static async Task<ListedMember> FindAsync(ClusterClient client, string text, CancellationToken cancellation)
    {
        var members = await client.MembersAsync(cancellation);
        return members.FirstOrDefault(m => m.Name == text)
            ?? members.FirstOrDefault(m => ulong.TryParse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var id) && m.Id == id)
            ?? throw new CommandException(
                $"the group has no member '{text}'", "its members are " + string.Join(", ", members.Select(m => $"{m.Name} ({m.Id:x})")), ExitCode.Usage);
    }

    private static async Task<(ListedMember Member, Uri? Endpoint, MemberReport? Report, string? Problem)[]> ReportsAsync(
        ClusterClient client, CancellationToken cancellation)
    {
        var members = await client.MembersAsync(cancellation);
        return await Task.WhenAll(members.Select(async member =>
        {
            var endpoint = member.ClientUrls.Count == 0 ? null : new Uri(member.ClientUrls[0]);
            if (endpoint is null)
                return (member, endpoint, (MemberReport?)null, (string?)"not started yet");
            try
            {
                return (member, endpoint, await client.ReportAsync(endpoint, cancellation), null);
            }
            catch (CoordinationException error)
            {
                return (member, (Uri?)endpoint, (MemberReport?)null, error.Message);
            }
        }));
    }

    private static JsonObject Json((ListedMember Member, Uri? Endpoint, MemberReport? Report, string? Problem) row) => new()
    {
        ["id"] = row.Member.Id.ToString("x"), ["name"] = row.Member.Name, ["learner"] = row.Member.IsLearner,
        ["peerUrls"] = new JsonArray([.. row.Member.PeerUrls.Select(u => JsonValue.Create(u))]),
        ["clientUrls"] = new JsonArray([.. row.Member.ClientUrls.Select(u => JsonValue.Create(u))]),
        ["up"] = row.Report is not null, ["leader"] = row.Report is { } r && r.Leader == r.MemberId, ["version"] = row.Report?.Version,
        ["term"] = row.Report?.Term, ["index"] = row.Report?.Index, ["applied"] = row.Report?.AppliedIndex, ["revision"] = row.Report?.Revision,
        ["bytes"] = row.Report?.DbBytes, ["problems"] = new JsonArray([.. Problems(row).Select(p => JsonValue.Create(p))]),
    };

    private static void Print((ListedMember Member, Uri? Endpoint, MemberReport? Report, string? Problem)[] reports) => Terminal.WriteTable(
        ["member", "id", "role", "clients", "members", "term", "index", "applied", "revision", "size", "problem"],
        reports.Select(r => new[]
        {
            r.Member.Name, r.Member.Id.ToString("x"), Role(r), string.Join(' ', r.Member.ClientUrls), string.Join(' ', r.Member.PeerUrls),
            r.Report?.Term.ToString() ?? "", r.Report?.Index.ToString() ?? "", r.Report?.AppliedIndex.ToString() ?? "",
            r.Report?.Revision.ToString() ?? "", r.Report is null ? "" : Bytes((double)r.Report.DbBytes), string.Join("; ", Problems(r)),
        }), "no members");

    private static string Role((ListedMember Member, Uri? Endpoint, MemberReport? Report, string? Problem) row) =>
        row.Report is not { } report ? "down" : report.Leader == report.MemberId ? "leader" : row.Member.IsLearner ? "learner" : "follower";

    private static IEnumerable<string> Problems((ListedMember Member, Uri? Endpoint, MemberReport? Report, string? Problem) row) =>
        row.Problem is null ? row.Report!.Errors : [row.Problem];

    private static int Say(ParseResult parsed, string text, params (string Name, JsonNode Value)[] json)
    {
        Done(parsed, text, new JsonObject(json.Select(j => KeyValuePair.Create(j.Name, (JsonNode?)j.Value))));
        return ExitCode.Success;
    }
}
