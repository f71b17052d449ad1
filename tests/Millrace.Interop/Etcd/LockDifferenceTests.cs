using System.Globalization;
using System.Text.RegularExpressions;
using Google.Protobuf;
using Millrace.Coordination.Client;
using Millrace.Coordination.Node;
using Millrace.Coordination.Wire;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>The services Lock and Election, by which clients without etcd's recipes lock and elect, of a real etcd and of Millrace.</summary>
public sealed partial class LockDifferenceTests
{
    private const string Election = "/v3electionpb.Election/";

    [EngineFact("go")]
    public async Task Locks_and_elections_are_answered_as_by_etcd()
    {
        await using var etcd = await RealEtcd.StartAsync(RealEtcd.Newest!);
        var folder = Directory.CreateTempSubdirectory("millrace-lock").FullName;
        string[][] told;
        await using (var node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = folder, ClientPort = 0, PeerPort = -1 }))
            told = [await new Side(etcd.Endpoint).TellAsync(), await new Side($"127.0.0.1:{node.ClientPort}").TellAsync()];
        Directory.Delete(folder, recursive: true);
        Differences.None(told[0], told[1]);
    }

    private sealed partial class Side(string endpoint)
    {
        private readonly List<string> _said = [];
        private readonly GrpcChannel _channel = new(new Uri("http://" + endpoint));
        private readonly CancellationTokenSource _patience = new(TimeSpan.FromSeconds(60));

        public async Task<string[]> TellAsync()
        {
            for (var lease = 11; lease <= 14; lease++)
                await AskAsync("/etcdserverpb.Lease/LeaseGrant", new LeaseGrantRequest { ID = lease, TTL = 100 }, LeaseGrantResponse.Parser);
            await LocksAsync();
            await ElectionsAsync();
            _channel.Dispose();
            _patience.Dispose();
            return [.. _said];
        }

        private async Task LocksAsync()
        {
            Task<string> Lock(string name, long lease) => AnswerAsync("/v3lockpb.Lock/Lock", new LockRequest { Name = Text(name), Lease = lease }, LockResponse.Parser);
            Task<string> Unlock(string key) => AnswerAsync("/v3lockpb.Lock/Unlock", new UnlockRequest { Key = Text(key) }, UnlockResponse.Parser);

            Say("the first", await Lock("m", 11));
            Say("who has it", await Lock("m", 11));
            var second = Lock("m", 12);
            await UntilKeysAsync("m/", 2);
            var third = Lock("m", 13);
            await UntilKeysAsync("m/", 3);
            Assert.False(second.IsCompleted || third.IsCompleted);
            Say("given back", await Unlock("m/b"));
            Say("the second", await second);
            Assert.False(third.IsCompleted);
            // A lock goes with its lease, also one that is only waited for.
            var fourth = Lock("m", 14);
            await UntilKeysAsync("m/", 3);
            await AskAsync("/etcdserverpb.Lease/LeaseRevoke", new LeaseRevokeRequest { ID = 13 }, LeaseRevokeResponse.Parser);
            await AskAsync("/etcdserverpb.Lease/LeaseRevoke", new LeaseRevokeRequest { ID = 12 }, LeaseRevokeResponse.Parser);
            Say("its lease has ended", await third);
            Say("the fourth", await fourth);
            Say("unlocked twice", await Unlock("m/c"));
            Say("without a lease", LeaseOf().Replace(await Lock("free", 0), "free/LEASE"));
            Say("without a name", await Lock("", 14));
        }

        private async Task ElectionsAsync()
        {
            Task<string> Campaign(long lease, string value) => AnswerAsync(
                Election + "Campaign", new CampaignRequest { Name = Text("e"), Lease = lease, Value = Text(value) }, CampaignResponse.Parser);
            Task<string> Leader() => AnswerAsync(Election + "Leader", new LeaderRequest { Name = Text("e") }, LeaderResponse.Parser);
            Task<string> Proclaim(LeaderKey key, string value) => AnswerAsync(
                Election + "Proclaim", new ProclaimRequest { Leader = key, Value = Text(value) }, ProclaimResponse.Parser);
            Task<string> Resign(LeaderKey key) => AnswerAsync(Election + "Resign", new ResignRequest { Leader = key }, ResignResponse.Parser);

            Say("nobody", await Leader());
            Say("one", await Campaign(11, "v1"));
            var sits = CampaignResponse.Parser.ParseJson(await Campaign(11, "v1")).Leader;
            await using var observing = _channel.StreamAsync(
                Election + "Observe", new LeaderRequest { Name = Text("e") }, LeaderResponse.Parser, null, _patience.Token).GetAsyncEnumerator(_patience.Token);
            await ObservedAsync(observing);
            Say("leads", await Leader());
            Say("says so", await Proclaim(sits, "v2"));
            await ObservedAsync(observing);
            Say("another value", await Campaign(11, "v3"));
            await ObservedAsync(observing);
            var heir = Campaign(14, "heir");
            await UntilKeysAsync("e/", 2);
            Assert.False(heir.IsCompleted);
            Say("a ghost", await Proclaim(new LeaderKey(sits) { Rev = sits.Rev - 1 }, "boo"));
            Say("a ghost resigns", await Resign(new LeaderKey(sits) { Rev = sits.Rev - 1 }));
            Say("resigns", await Resign(sits));
            Say("the heir", await heir);
            await ObservedAsync(observing);
            Say("resigns again", await Resign(sits));
            Say("too late", await Proclaim(sits, "v4"));
            await AskAsync("/etcdserverpb.Lease/LeaseRevoke", new LeaseRevokeRequest { ID = 14 }, LeaseRevokeResponse.Parser);
            Say("nobody again", await Leader());
        }

        private void Say(string what, string answer) => _said.Add($"{what}: {answer}");

        private async Task ObservedAsync(IAsyncEnumerator<LeaderResponse> observing)
        {
            Assert.True(await observing.MoveNextAsync());
            Say("observed", Tell(observing.Current));
        }

        private async Task UntilKeysAsync(string prefix, int count)
        {
            var request = new RangeRequest { Key = CoordinationClient.StartOf(prefix), RangeEnd = CoordinationClient.EndOf(prefix), CountOnly = true };
            while ((await AskAsync("/etcdserverpb.KV/Range", request, RangeResponse.Parser)).Count != count)
                await Task.Delay(20, _patience.Token);
        }

        private Task<TResponse> AskAsync<TResponse>(string method, IMessage request, MessageParser<TResponse> parser)
            where TResponse : class, IMessage<TResponse> => _channel.UnaryAsync(method, request, parser, null, _patience.Token);

        private async Task<string> AnswerAsync<TResponse>(string method, IMessage request, MessageParser<TResponse> parser)
            where TResponse : class, IMessage<TResponse>
        {
            try
            {
                return Tell(await AskAsync(method, request, parser));
            }
            catch (CoordinationException error)
            {
                return string.Create(CultureInfo.InvariantCulture, $"{error.Code} {error.Message}");
            }
        }

        /// <summary>Without what is each group's own.</summary>
        private static string Tell(IMessage answer)
        {
            if (answer.Descriptor.FindFieldByName("header")?.Accessor is { } header && header.GetValue(answer) is ResponseHeader known)
                header.SetValue(answer, new ResponseHeader { Revision = known.Revision });
            return answer.ToString()!;
        }

        private static ByteString Text(string text) => ByteString.CopyFromUtf8(text);

        [GeneratedRegex("\"key\": \"[^\"]*\"")]
        private static partial Regex LeaseOf();
    }
}
