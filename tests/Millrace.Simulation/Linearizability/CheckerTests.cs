using Millrace.Tests;

namespace Millrace.Simulation.Linearizability;

/// <summary>The checker must be right before it may judge: against histories of others with known verdicts, and a slow twin.</summary>
public sealed class CheckerTests
{
    private static string Data => Path.Combine(Repository.Shared!, "data", "linearizability");

    [SharedDataFact("linearizability/porcupine/jepsen/labels.csv")]
    public void Jepsens_etcd_histories_get_their_known_verdicts()
    {
        var verdicts = new HashSet<bool>();
        foreach (var line in File.ReadLines(Path.Combine(Data, "porcupine", "jepsen", "labels.csv")).Skip(1))
        {
            var parts = line.Split(',');
            var history = HistoryFiles.ReadJepsenLog(Path.Combine(Data, "porcupine", "jepsen", parts[0]));
            var verdict = new Checker<int, RegisterInput, RegisterOutput>(new RegisterModel()).Check(history);
            Assert.True(verdict == (parts[1] == "true" ? Verdict.Linearizable : Verdict.NotLinearizable), $"{parts[0]}: {verdict}");
            verdicts.Add(parts[1] == "true");
        }
        Assert.Equal(2, verdicts.Count);
    }

    [SharedDataFact("linearizability/porcupine/kv")]
    public void Key_value_histories_get_the_verdict_in_their_name()
    {
        var count = 0;
        foreach (var path in Directory.GetFiles(Path.Combine(Data, "porcupine", "kv"), "*.txt"))
        {
            var verdict = new Checker<string, TextInput, string>(new TextModel()).Check(HistoryFiles.ReadTexts(path));
            Assert.True(verdict == (path.Contains("-ok") ? Verdict.Linearizable : Verdict.NotLinearizable), $"{path}: {verdict}");
            count++;
        }
        Assert.True(count >= 4);
    }

    [SharedDataFact("linearizability/knossos")]
    public void Knossos_histories_get_the_verdict_of_their_folder()
    {
        var count = 0;
        foreach (var path in Directory.GetFiles(Path.Combine(Data, "knossos", "cas-register"), "*.edn", SearchOption.AllDirectories))
        {
            var verdict = new Checker<int, RegisterInput, RegisterOutput>(new RegisterModel()).Check(HistoryFiles.ReadEdn(path));
            Assert.True(verdict == (path.Contains("/good/") ? Verdict.Linearizable : Verdict.NotLinearizable), $"{path}: {verdict}");
            count++;
        }
        Assert.True(count >= 50);
    }

    [Fact]
    public void Verdicts_agree_with_trying_every_order()
    {
        var seed = Seeds.First;
        var verdicts = new int[2];
        for (var run = 0; run < 3000; run++)
        {
            var history = RandomHistory(new Random(seed + run));
            var expected = Permutations(history).Any(IsLegal);
            var verdict = new Checker<int, RegisterInput, RegisterOutput>(new RegisterModel()).Check(history);
            Assert.True(verdict == (expected ? Verdict.Linearizable : Verdict.NotLinearizable), $"seed {seed + run}: {verdict}");
            verdicts[expected ? 1 : 0]++;
        }
        Assert.True(verdicts.Min() > 100);
    }

    [Fact]
    public void Memory_is_bounded()
    {
        // Many concurrent unknown writes and a read of none of them: every subset would be tried.
        var history = Enumerable.Range(0, 40).Select(i => new Operation<RegisterInput, RegisterOutput>(
            i, "k", new RegisterInput(RegisterAction.Write, null, i), new RegisterOutput(true, false, null), i, long.MaxValue)).ToList();
        history.Add(new(99, "k", new RegisterInput(RegisterAction.Read, null, null), new RegisterOutput(false, false, 1000), 100, 101));
        Assert.Equal(Verdict.Undecided, new Checker<int, RegisterInput, RegisterOutput>(new RegisterModel(), 10_000).Check(history));
    }

    private static List<Operation<RegisterInput, RegisterOutput>> RandomHistory(Random random)
    {
        var history = new List<Operation<RegisterInput, RegisterOutput>>();
        var times = Enumerable.Range(0, 12).Select(i => (long)i).ToArray();
        random.Shuffle(times);
        for (var i = 0; i < 6; i++)
        {
            var call = Math.Min(times[2 * i], times[(2 * i) + 1]);
            var end = Math.Max(times[2 * i], times[(2 * i) + 1]);
            var input = random.Next(3) switch
            {
                0 => new RegisterInput(RegisterAction.Write, null, random.Next(2)),
                1 => new RegisterInput(RegisterAction.Swap, random.Next(2), random.Next(2)),
                _ => new RegisterInput(RegisterAction.Read, null, null),
            };
            var value = random.Next(3);
            var isUnknown = random.Next(8) == 0;
            history.Add(new(i, "k", input, new RegisterOutput(isUnknown, random.Next(2) == 0, value == 2 ? null : value), call,
                isUnknown ? long.MaxValue : end));
        }
        return history;
    }

    private static bool IsLegal(IReadOnlyList<Operation<RegisterInput, RegisterOutput>> order)
    {
        var model = new RegisterModel();
        var state = model.Initial;
        for (var i = 0; i < order.Count; i++)
        {
            for (var j = i + 1; j < order.Count; j++)
            {
                if (order[j].Return < order[i].Call)
                    return false;
            }
            if (!model.TryStep(state, order[i].Input, order[i].Output, out state))
                return false;
        }
        return true;
    }

    private static IEnumerable<IReadOnlyList<T>> Permutations<T>(List<T> items)
    {
        if (items.Count <= 1)
        {
            yield return items;
            yield break;
        }
        for (var i = 0; i < items.Count; i++)
        {
            var rest = new List<T>(items);
            rest.RemoveAt(i);
            foreach (var tail in Permutations(rest))
                yield return [items[i], .. tail];
        }
    }
}
