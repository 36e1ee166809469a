"""The distractor rule on captions of the kind that COCO has."""

from __future__ import annotations

import numpy as np
import pytest
from distract_oracle import DATA_SETS, keep_only, left_over

from empaste_aug.offline.distract import find_targets, replace_targets

TEXT = """\
A man riding a wave on top of a surfboard.
voc: man
coco: man, surfboard
A little girl holding wine glasses with people sitting at a dining table.
voc: girl, people, dining table
coco: girl, wine glasses, people, dining table
A group of people standing around a bus stop next to a train station.
voc: people, bus, train
coco: people, bus, train
Two women and three children are watching the sheep graze.
voc: women, children, sheep
coco: women, children, sheep
A sheep is standing in the field. The sheep's wool is white.
voc: sheep, sheep
coco: sheep, sheep
A dog eating a hot dog next to a teddy bear.
voc: dog
coco: dog, hot dog, teddy bear
MAN ON A TV SCREEN
voc: MAN, TV SCREEN
coco: MAN, TV SCREEN
A TV sitting on a sofa.
voc: TV, sofa
coco: TV, sofa
Men's room sign above a toilet.
voc: Men
coco: Men, toilet
The dogs' bowls are next to the cat's bed.
voc: dogs, cat
coco: dogs, bowls, cat, bed
An elderly couple of tourists take a photo of an elephant.
voc: tourists
coco: tourists, elephant
A couple of cows and a calf in a pasture.
voc: cows, calf
coco: cows, calf
A baby boy and his mother eat an orange.
voc: baby boy, mother
coco: baby boy, mother, orange
An orange cat on an orange couch.
voc: cat, couch
coco: cat, couch
a baby elephant walks behind its mother
voc: mother
coco: elephant, mother
Someone left a backpack on the bench.
voc: Someone
coco: Someone, backpack, bench
A person riding a motor scooter down a street
voc: person, motor scooter
coco: person, motor scooter
A jet airliner flying over a harbour full of sailboats, kayaks and a ferry.
voc: jet airliner, harbour, sailboats, kayaks, ferry
coco: jet airliner, harbour, sailboats, kayaks, ferry
There is a German shepherd lying on an Adirondack chair
voc: German shepherd, Adirondack chair
coco: German shepherd, Adirondack chair
Several glass vases on a glass table with glasses of wine
voc: table
coco: glass vases, table, glasses of wine
A man in a suit and tie wearing glasses.
voc: man
coco: man, tie
A tennis player swings his racket at a ball.
voc: tennis player
coco: tennis player, racket, ball
A kid plays a video game with a Wii remote.
voc: kid, video game
coco: kid, video game, Wii remote
an umpire, a catcher and a batter at a baseball game
voc: umpire, catcher, batter
coco: umpire, catcher, batter, baseball
The bus' door is open.
voc: bus
coco: bus
People's bikes are parked by mens shoes
voc: People, bikes, mens
coco: People, bikes, mens
A double-decker bus and a taxi cab on a city street.
voc: double-decker bus, taxi cab
coco: double-decker bus, taxi cab
A woman talking on a cellphone while walking her poodles
voc: woman, poodles
coco: woman, cellphone, poodles
A desk with a laptop, a computer monitor, keyboard and mouse.
voc: computer monitor
coco: laptop, computer monitor, keyboard, mouse
three pieces of broccoli and carrots on a plate with a pair of scissors
voc:
coco: pieces of broccoli, carrots, pair of scissors
A black and white photo of horses and ponies.
voc: horses, ponies
coco: horses, ponies
A trash truck in front of a stop sign, traffic lights and parking meters
voc:
coco: trash truck, stop sign, traffic lights, parking meters
a clock tower with a large clock
voc:
coco: clock tower, clock
A book shelf filled with books, a vase of flowers
voc:
coco: book shelf, books, vase of flowers
A crowd of people watching a parade with a family of four.
voc: people, parade, family of four
coco: people, parade, family of four
A plate of food with chicken and broccoli next to a glass of wine.
voc:
coco: broccoli, glass of wine
A woman is cutting a birthday cake with a large knife while her husband watches.
voc: woman, husband
coco: woman, birthday cake, knife, husband
Two zebras and a giraffe standing near a watering hole.
voc:
coco: zebras, giraffe
A cat laying on top of a laptop computer.
voc: cat
coco: cat, laptop computer
A black dog with a frisbee in its mouth runs on the grass.
voc: dog
coco: dog, frisbee
A kitchen with a stove top oven and a refrigerator.
voc:
coco: kitchen, stove top oven, refrigerator
The remote control car is in a remote area.
voc: car
coco: car
A white toilet sitting next to a toilet paper holder.
voc:
coco: toilet
A bunch of bananas, apples and oranges in a bowl.
voc:
coco: bunch of bananas, apples, oranges, bowl
A street sign on a pole in front of a building.
voc:
coco:
Man's best friend: a golden retriever puppy.
voc: Man, friend, golden retriever puppy
coco: Man, friend, golden retriever puppy
Three teddy bears sit on a bed next to a lamp.
voc:
coco: teddy bears, bed
Boats docked at a marina near a parking lot full of cars, SUVs and pickup trucks.
voc: Boats, marina, parking lot, cars, SUVs, pickup trucks
coco: Boats, marina, parking lot, cars, SUVs, pickup trucks
A baseball player swinging a bat at a game while the catcher and umpire watch.
voc: baseball player, catcher, umpire
coco: baseball player, bat, catcher, umpire
A man in a wet suit carrying a long board into the water.
voc: man
coco: man, long board
A herd of sheep and cattle grazing in a pasture with lambs.
voc: sheep, cattle, lambs
coco: sheep, cattle, lambs
A woman with an umbrella, a purse and rolling luggage.
voc: woman
coco: woman, umbrella, purse, luggage
Bunk beds in a dorm room with a desk chair.
voc: desk chair
coco: Bunk beds, dorm room, desk chair
The bull rider falls off the bull.
voc: bull rider, bull
coco: bull rider, bull
A tie dyed shirt and a bow tie.
voc:
coco: bow tie
Someone's cell phone is on the table next to a mouse pad and computer mouse.
voc: Someone, table
coco: Someone, cell phone, table, computer mouse
A policeman on a police motorcycle in front of a police car.
voc: policeman, police motorcycle, police car
coco: policeman, police motorcycle, police car
Several people are riding horses, one is on a pony.
voc: people, horses, pony
coco: people, horses, pony
A girl brushing her teeth with a toothbrush
voc: girl
coco: girl, brushing her teeth, toothbrush
Fire truck and ambulance parked by firemen.
voc: ambulance, firemen
coco: Fire truck, ambulance, firemen
A birdhouse, a doghouse and a catwalk.
voc: birdhouse, doghouse
coco: birdhouse, doghouse
People sit at picnic tables eating sandwiches, hot dogs and pizza.
voc: People, picnic tables
coco: People, picnic tables, sandwiches, hot dogs, pizza
A shuttle bus drives past a row of parked bicycles and mopeds.
voc: shuttle bus, bicycles, mopeds
coco: shuttle bus, bicycles, mopeds
An airplane's wing seen through the window.
voc: airplane
coco: airplane
Children's toys, a book, scissors and a clock on a shelf.
voc: Children
coco: Children, book, scissors, clock
Tv on a stand, with two couches & a chair in front.
voc: Tv, couches, chair
coco: Tv, couches, chair
A cute baby girl in a high chair eating a carrot.
voc: baby girl, high chair
coco: baby girl, high chair, carrot
The big horned rams and goats climb.
voc: rams, goats
coco: rams, goats
An older gentleman wearing glasses reads a newspaper on a park bench.
voc: gentleman
coco: gentleman, park bench
Young boys playing soccer with a soccer ball.
voc: boys
coco: boys, playing soccer, soccer ball
"""
LINES = TEXT.splitlines()
CAPTIONS = list(zip(LINES[::3], LINES[1::3], LINES[2::3], strict=True))
"""Captions, and what in them names a class of VOC and of COCO."""


@pytest.mark.parametrize(("caption", "voc", "coco"), CAPTIONS)
def test_captions(caption: str, voc: str, coco: str) -> None:
    for line in (voc, coco):
        data_set, _, found = line.partition(":")
        targets = DATA_SETS[data_set]
        mentions = find_targets(caption, targets)
        assert [mention.text for mention in mentions] == [
            word.strip() for word in found.split(",") if word
        ]
        result = replace_targets(caption, targets, np.random.default_rng(0))
        assert set(left_over(result, data_set)) <= set(left_over(keep_only(result), data_set))
        assert replace_targets(result, targets, np.random.default_rng(1)) == result
        if not mentions:
            assert result == caption
