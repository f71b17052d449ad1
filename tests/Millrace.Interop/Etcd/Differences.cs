namespace Millrace.Interop.Etcd;

/// <summary>What two stores said to the same questions, compared line by line.</summary>
internal static class Differences
{
    public static void None(IReadOnlyList<string> etcd, IReadOnlyList<string> millrace)
    {
        var differences = new List<string>();
        for (var i = 0; i < Math.Max(etcd.Count, millrace.Count); i++)
        {
            var (theirs, ours) = (i < etcd.Count ? etcd[i] : "(nothing)", i < millrace.Count ? millrace[i] : "(nothing)");
            if (theirs != ours)
                differences.Add($"  etcd:     {theirs}\n  Millrace: {ours}");
        }
        Assert.True(differences.Count == 0, string.Join('\n', differences));
    }
}
