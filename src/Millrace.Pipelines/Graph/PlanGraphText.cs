using System.Text;

namespace Millrace.Pipelines.Graph;

/// <summary>A graph as an indented tree: a node a line with what runs it, what it does below.</summary>
internal static class PlanGraphText
{
    private const int LongestDetail = 100;

    public static string Render(PlanGraph graph)
    {
        var text = new StringBuilder();
        text.Append("pipeline ").Append(graph.Name);
        if (graph.State is not null)
            text.Append(": ").Append(graph.State);
        text.Append('\n');
        if (graph.Description is not null)
            text.Append("   ").Append(graph.Description).Append('\n');
        var targets = graph.Edges.Select(e => e.To).ToHashSet();
        var roots = graph.Nodes.Where(n => !targets.Contains(n.Id)).ToList();
        for (var i = 0; i < roots.Count; i++)
            Append(text, graph, roots[i], null, "", i == roots.Count - 1);
        return text.ToString();
    }

    private static void Append(StringBuilder text, PlanGraph graph, PlanNode node, string? label, string indent, bool last)
    {
        text.Append(indent).Append(last ? "└─ " : "├─ ");
        text.Append(node.Kind).Append(' ').Append(node.Name);
        if (label is not null)
            text.Append(" (").Append(label).Append(')');
        text.Append("  [").Append(node.RunsOn).Append(']');
        if (node.State is not null)
            text.Append("  ").Append(node.State);
        text.Append('\n');
        var children = graph.Edges.Where(e => e.From == node.Id).ToList();
        var inner = indent + (last ? "   " : "│  ");
        var detail = node.Detail.Length > LongestDetail ? node.Detail[..(LongestDetail - 3)] + "..." : node.Detail;
        text.Append(inner).Append(children.Count > 0 ? "│  " : "   ").Append(detail).Append('\n');
        for (var i = 0; i < children.Count; i++)
            Append(text, graph, graph.Nodes.First(n => n.Id == children[i].To), children[i].Label, inner, i == children.Count - 1);
    }
}
