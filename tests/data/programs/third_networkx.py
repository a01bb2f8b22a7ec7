# SPDX-License-Identifier: LGPL-2.1-or-later
"""networkx: paths, components, ranks and flows of small graphs."""

import networkx as nx

g = nx.grid_2d_graph(7, 7)
tree = nx.balanced_tree(2, 5)
digraph = nx.gn_graph(40, seed=1)
flow = nx.DiGraph()
flow.add_edge("s", "a", capacity=3)
flow.add_edge("a", "t", capacity=2)
flow.add_edge("s", "t", capacity=1)
print(nx.shortest_path_length(g, (0, 0), (6, 6)), len(list(nx.connected_components(g))))
print(nx.diameter(tree), nx.number_of_edges(nx.minimum_spanning_tree(g)), nx.is_bipartite(g))
print(len(list(nx.topological_sort(digraph))), nx.maximum_flow_value(flow, "s", "t"))
between = nx.betweenness_centrality(nx.path_graph(20))
print(round(max(between.values()), 3), len(nx.to_dict_of_lists(g)))
