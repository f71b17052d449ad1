using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using Millrace.Coordination.Node;
using Millrace.Host.Platform;
using Millrace.Raft.Consensus;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace cluster start|restore</c>: a member of the coordination store by itself, and a folder for one from a snapshot.</summary>
internal static class ClusterCommands
{
    private static readonly Option<string> Name = new("--name") { Description = "This member's name", DefaultValueFactory = _ => "default" };

    public static Command Create()
    {
        var cluster = new Command("cluster", "The coordination store: etcd's v3 API over Raft, one member or several");
        cluster.Subcommands.Add(Start());
        foreach (var command in ClusterManagement.All())
            cluster.Subcommands.Add(command);
        cluster.Subcommands.Add(Restore());
        return cluster;
    }

    private static Command Start()
    {
        var data = new Option<string?>("--data") { Description = "This member's folder [default: ~/.millrace/coordination]", HelpName = "DIR" };
        var members = new Option<string?>("--members")
        {
            Description = "All first members, as name=host:port,...; the port is for members [default: this one alone]", HelpName = "LIST",
        };
        var client = new Option<string>("--listen") { Description = "For clients", HelpName = "HOST:PORT", DefaultValueFactory = _ => "127.0.0.1:2379" };
        var join = new Option<bool>("--join") { Description = "The group runs already and has added this member" };
        var reads = new Option<ReadMode>("--reads")
        {
            Description = "How linearizable reads are answered: index (a round of heartbeats), lease (needs clocks that drift by less than 2 %) or quorum (without the leader)",
            HelpName = "index|lease|quorum",
        };
        var consensus = new Option<string>("--consensus")
        {
            Description = "The algorithm, the same on all members from the first day", HelpName = "raft|multi-paxos|fast-paxos", DefaultValueFactory = _ => "raft",
        };
        consensus.AcceptOnlyFromAmong("raft", "multi-paxos", "fast-paxos");
        var speculate = new Option<bool>("--speculate") { Description = "Run writes before they are committed, unseen until then; pays for large transactions" };
        var tls = new StartTls();
        var command = new Command("start", "Run a member until it is stopped") { data, Name, members, client, join, reads, consensus, speculate }.WithExamples(
            "./millrace cluster start",
            "./millrace cluster start --name a --data /srv/a --listen 127.0.0.1:2379 --members a=127.0.0.1:2380,b=127.0.0.1:2390,c=127.0.0.1:2400");
        tls.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var listen = EndPoint(parsed.GetValue(client)!);
            var first = Members(parsed.GetValue(members));
            var name = parsed.GetValue(Name)!;
            var self = first.FirstOrDefault(m => m.Name == name);
            var options = new CoordinationOptions
            {
                DataFolder = Path.GetFullPath(parsed.GetValue(data) ?? Path.Combine(parsed.Settings().Data, "coordination")),
                Name = name, Members = first, IsJoining = parsed.GetValue(join), Address = listen.Address, ClientPort = listen.Port,
                PeerPort = self?.PeerPort ?? -1, Reads = parsed.GetValue(reads), Speculates = parsed.GetValue(speculate), ClientTls = tls.OfClients(parsed), PeerTls = tls.OfMembers(parsed),
                Consensus = parsed.GetValue(consensus) switch
                {
                    "multi-paxos" => ConsensusAlgorithm.MultiPaxos,
                    "fast-paxos" => ConsensusAlgorithm.FastPaxos,
                    _ => ConsensusAlgorithm.Raft,
                },
            };
            using var logs = PlatformLogs.Create(quiet: false);
            await using var node = await StartAsync(options, logs, cancellation);
            if (parsed.GetValue(MillraceCommand.Json))
                Terminal.WriteJson(new JsonObject { ["name"] = name, ["client"] = node.ClientPort, ["peer"] = node.PeerPort, ["pid"] = Environment.ProcessId });
            else
                Console.Out.WriteLine($"member {name} serves etcd's API at {(options.ClientTls is null ? "http" : "https")}://{listen.Address}:{node.ClientPort}, data in {options.DataFolder}");
            var stopped = UpCommands.UntilStoppedAsync(cancellation);
            if (await Task.WhenAny(stopped, node.Completion) != stopped && node.Completion.Exception is { } failure)
                throw new CommandException(failure.InnerException!.Message);
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Restore()
    {
        var file = new Argument<string>("FILE") { Description = "Written by cluster snapshot or by etcdctl, of Millrace's store or of an etcd" };
        var data = new Option<string?>("--data") { Description = "This member's new folder [default: ~/.millrace/coordination]", HelpName = "DIR" };
        var members = new Option<string?>("--members") { Description = "All members of the new group, as name=host:port,... [default: this one alone]", HelpName = "LIST" };
        var name = new Option<string>("--name") { Description = "This member's name", DefaultValueFactory = _ => "default" };
        var unhashed = new Option<bool>("--skip-hash-check") { Description = "Take a database without a hash at its end, as it lies in the data folder of an etcd (member/snap/db)" };
        var command = new Command("restore", "Make a member's folder of a new group from a snapshot; once for each member, from the same file")
        {
            file, data, name, members, unhashed,
        }.WithExamples(
            "./millrace cluster restore state.snapshot --data /srv/new",
            "./millrace cluster restore state.snapshot --data /srv/a --name a --members a=10.0.0.1:2380,b=10.0.0.2:2380,c=10.0.0.3:2380");
        command.SetAction((parsed, _) =>
        {
            var first = Members(parsed.GetValue(members));
            var options = new CoordinationOptions
            {
                DataFolder = Path.GetFullPath(parsed.GetValue(data) ?? Path.Combine(parsed.Settings().Data, "coordination")),
                Name = parsed.GetValue(name)!, Members = first, PeerPort = first.FirstOrDefault(m => m.Name == parsed.GetValue(name))?.PeerPort ?? -1,
            };
            RestoredState state;
            try
            {
                state = GroupRestore.Restore(parsed.GetValue(file)!, options, parsed.GetValue(unhashed));
            }
            catch (InvalidDataException damaged)
            {
                throw new CommandException(damaged.Message, "take another snapshot");
            }
            catch (ArgumentException wrong)
            {
                throw new CommandException(wrong.Message, null, ExitCode.Usage);
            }
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(new JsonObject
                {
                    ["data"] = options.DataFolder, ["cluster"] = state.ClusterId.ToString("x"), ["member"] = state.MemberId.ToString("x"),
                    ["revision"] = state.Revision, ["keys"] = state.Keys,
                });
            }
            else
            {
                Console.Out.WriteLine($"{options.DataFolder} holds revision {state.Revision}, {state.Keys} keys, as a member of the new group {state.ClusterId:x}");
            }
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }

    private static async Task<CoordinationNode> StartAsync(
        CoordinationOptions options, Microsoft.Extensions.Logging.ILoggerFactory logs, CancellationToken cancellation)
    {
        try
        {
            return await CoordinationNode.StartAsync(options, TimeProvider.System, logs, cancellation);
        }
        catch (ArgumentException wrong)
        {
            throw new CommandException(wrong.Message, null, ExitCode.Usage);
        }
        catch (InvalidOperationException refused)
        {
            throw new CommandException(refused.Message);
        }
    }

    private static CoordinationMember[] Members(string? list) => (list ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries).Select(item =>
    {
        var parts = item.Split('=', 2);
        var colon = parts.Length == 2 ? parts[1].LastIndexOf(':') : -1;
        return colon > 0 && int.TryParse(parts[1][(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            ? new CoordinationMember(parts[0], parts[1][..colon], port)
            : throw new CommandException($"'{item}' is no member", "write members as name=host:port,name=host:port", ExitCode.Usage);
    }).ToArray();

    private static IPEndPoint EndPoint(string text) => IPEndPoint.TryParse(text, out var address)
        ? address
        : throw new CommandException($"'{text}' is no address to listen on", "write it as 127.0.0.1:2379", ExitCode.Usage);
}
